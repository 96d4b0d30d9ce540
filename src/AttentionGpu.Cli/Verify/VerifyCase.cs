namespace AttentionGpu.Cli.Verify;

/// <summary>A case that can be run on an engine.</summary>
/// <param name="Name">The case.</param>
/// <param name="Run">Runs it.</param>
internal sealed record VerifyCase(string Name, Func<AttentionEngine, VerifyOutcome> Run);
