namespace AttentionGpu.Backends.Simd.Threads;

/// <summary>
/// The object of a plan's last call, for its next; a call that runs beside another makes its own. One reference and no more: an object
/// that a call makes beside others is small.
/// </summary>
internal struct IdleWork<TWork>
    where TWork : ParallelWork
{
    private TWork? _work;

    public TWork? Take() => Interlocked.Exchange(ref _work, null);

    public void Keep(TWork work) => Volatile.Write(ref _work, work);
}
