namespace AttentionGpu;

/// <summary>How an engine uses its device.</summary>
public sealed record AttentionEngineOptions
{
    /// <summary>
    /// Most threads that a call uses, the caller's included; null for one a core. The <c>simd</c> device's: others ignore it. All engines
    /// of a
    /// process share the threads, one fewer than there are cores, so a call never has more than there are cores.
    /// </summary>
    public int? Threads { get; init; }

    /// <summary>
    /// Most bytes of device tensors, layers' parameters and memory of running calls (intermediate results, workspace of threads, copies of
    /// host tensors), in
    /// use or kept for the next call; null for no limit. A call that would go beyond it is an <see cref="AttentionMemoryException"/>.
    /// Tensors of the
    /// caller do not count.
    /// </summary>
    public long? MemoryLimitBytes { get; init; }

    /// <summary>
    /// Whether a request's results have the same bits alone and in any batch, in every call of the engine and of its layers: as
    /// <see cref="AttentionOptions.BatchInvariant"/> for one call.
    /// </summary>
    public bool BatchInvariant { get; init; }

    internal long MemoryLimit => MemoryLimitBytes ?? long.MaxValue;

    internal static AttentionEngineOptions Default { get; } = new();

    internal void Validate()
    {
        if (Threads is int threads && threads < 1)
            throw new ArgumentOutOfRangeException("options", threads, "The option 'Threads' must be at least 1.");
        if (MemoryLimitBytes is long limit && limit < 1)
            throw new ArgumentOutOfRangeException("options", limit, "The option 'MemoryLimitBytes' must be at least 1.");
    }
}
