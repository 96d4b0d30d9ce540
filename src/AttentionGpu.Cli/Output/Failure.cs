namespace AttentionGpu.Cli.Output;

/// <summary>Errors, on standard error in one line.</summary>
internal static class Failure
{
    /// <summary>
    /// Prints an error and returns its exit code. The name of a parameter in the code is left out, unless it may be all that is told: in
    /// subclasses, whose messages may be the runtime's.
    /// </summary>
    public static int Report(Exception exception) => Report(
        exception is ArgumentException { ParamName: string name } && exception.GetType() == typeof(ArgumentException)
            ? exception.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal)
            : exception.Message,
        exception is ArgumentException or FormatException or IOException or InvalidDataException
            or UnauthorizedAccessException or NotSupportedException
            ? ExitCode.BadInput
            : ExitCode.Failed);

    /// <inheritdoc cref="Report(Exception)"/>
    public static int Report(string message, int exitCode)
    {
        Screen.Error.Lines("attention: " + string.Join(' ', message.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries)));
        return exitCode;
    }
}
