namespace AttentionGpu.Cli.Output;

/// <summary>The exit codes of all commands.</summary>
internal static class ExitCode
{
    public const int Success = 0;

    /// <summary>The work itself failed: a case of <c>verify</c> did not pass, or a device broke down.</summary>
    public const int Failed = 1;

    /// <summary>Bad arguments or input.</summary>
    public const int BadInput = 2;
}
