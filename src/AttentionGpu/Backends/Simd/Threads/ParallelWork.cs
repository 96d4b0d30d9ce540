namespace AttentionGpu.Backends.Simd.Threads;

/// <summary>
/// Numbered items that the threads of a call share; each takes the next when it is done with one. An object serves one call at a time
/// and may be used again, so that a call allocates nothing.
/// </summary>
internal abstract class ParallelWork
{
    // Below this many operations a second thread costs more than it brings.
    private const double SerialOperations = 200_000;

    private long _count;
    private long _last;

    /// <summary>The threads that a run takes at most, the caller's included.</summary>
    /// <param name="count">The number of items.</param>
    /// <param name="threads">Most threads to use, the caller's included.</param>
    /// <param name="operations">The operations of all items together.</param>
    public static int Workers(long count, int threads, double operations) =>
        operations < SerialOperations ? 1 : (int)Math.Clamp(count, 1, Math.Clamp(threads, 1, WorkerPool.Shared.Threads));

    /// <summary>Takes items until there are no more. Runs on several threads at once.</summary>
    public abstract void Work();

    /// <summary>Does items 0 to <paramref name="count"/> - 1.</summary>
    /// <param name="count">The number of items.</param>
    /// <param name="threads">Most threads to use, the caller's included.</param>
    /// <param name="operations">The operations of all items together.</param>
    protected void Run(long count, int threads, double operations)
    {
        _count = count;
        _last = -1;
        WorkerPool.Shared.Run(this, Workers(count, threads, operations));
    }

    /// <summary>The next item; false when there is none left.</summary>
    protected bool TryTake(out long item)
    {
        item = Interlocked.Increment(ref _last);
        return item < _count;
    }
}
