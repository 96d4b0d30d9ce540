namespace AttentionGpu.Backends.Simd;

/// <summary>The numbered items of a call; each thread takes the next when it is done with one.</summary>
internal sealed class WorkQueue
{
    // Below this many operations a second thread costs more than it brings.
    private const double SerialOperations = 200_000;

    private readonly long _count;
    private long _last = -1;

    private WorkQueue(long count)
    {
        _count = count;
    }

    /// <summary>The next item; false when there is none left.</summary>
    public bool TryTake(out long item)
    {
        item = Interlocked.Increment(ref _last);
        return item < _count;
    }

    /// <summary>Runs items 0 to <paramref name="count"/> - 1.</summary>
    /// <param name="count">The number of items.</param>
    /// <param name="threads">Most threads to use, the caller's included.</param>
    /// <param name="operations">What all items cost together.</param>
    /// <param name="work">Takes items until there are no more.</param>
    public static void Run(long count, int threads, double operations, Action<WorkQueue> work)
    {
        var queue = new WorkQueue(count);
        int workers = operations < SerialOperations ? 1 : (int)Math.Min(threads, count);
        WorkerPool.Shared.Run(() => work(queue), workers);
    }
}
