namespace AttentionGpu.Cli.Output;

/// <summary>Whether a person reads along. Tests that capture both streams say no.</summary>
internal static class Terminal
{
    /// <summary>Whether standard output is a terminal, not a file or a pipe.</summary>
    public static bool HasOutput { get; set; } = !Console.IsOutputRedirected;

    /// <summary>Whether standard error is a terminal.</summary>
    public static bool HasError { get; set; } = !Console.IsErrorRedirected;
}
