using AttentionGpu.Backends.Accelerator.Texts;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Where tests look on, or hold a thread up. Nothing is set in a program.</summary>
internal sealed record AcceleratorProbe
{
    /// <summary>Called before a kernel is compiled, where other threads may launch.</summary>
    public Action? Compiling { get; init; }

    /// <summary>Called before memory waits for the stream.</summary>
    public Action? Synchronizing { get; init; }

    /// <summary>Runs texts in place of the accelerator, which need not be a CUDA device then.</summary>
    public ITextDevice? Texts { get; init; }
}
