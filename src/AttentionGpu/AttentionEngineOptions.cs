namespace AttentionGpu;

/// <summary>How an engine uses its device.</summary>
public sealed record AttentionEngineOptions
{
    /// <summary>
    /// Most threads that a call uses, the caller's included; null for one a core. The <c>simd</c> device's: others ignore it. All engines of a
    /// process share the threads, one fewer than there are cores, so a call never has more than there are cores.
    /// </summary>
    public int? Threads { get; init; }

    internal static AttentionEngineOptions Default { get; } = new();

    internal void Validate()
    {
        if (Threads is int threads && threads < 1)
            throw new ArgumentOutOfRangeException("options", threads, "The option 'Threads' must be at least 1.");
    }
}
