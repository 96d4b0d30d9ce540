namespace AttentionGpu.Memory;

/// <summary>
/// The memory of an engine, and how long it lives. Calls enter and leave; closing waits for the calls in progress, so that nothing runs on
/// memory that is freed.
/// </summary>
/// <param name="engine">The engine, for errors.</param>
/// <param name="memory">Its memory.</param>
internal sealed class EngineLifetime(object engine, IDeviceMemory memory)
{
    // Calls in progress; the lowest value of all once the engine is closed and no call is left to come.
    private const int Closed = int.MinValue;

    private readonly object _signal = new();
    private int _calls;

    /// <summary>The device's memory.</summary>
    public IDeviceMemory Memory => memory;

    public bool IsClosed => Volatile.Read(ref _calls) < 0;

    /// <summary>Starts a call; each must <see cref="Exit"/>.</summary>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public void Enter()
    {
        int calls = Volatile.Read(ref _calls);
        while (true)
        {
            ObjectDisposedException.ThrowIf(calls < 0, engine);
            int seen = Interlocked.CompareExchange(ref _calls, calls + 1, calls);
            if (seen == calls)
                return;
            calls = seen;
        }
    }

    /// <summary>Ends a call.</summary>
    public void Exit()
    {
        if (Interlocked.Decrement(ref _calls) != Closed)
            return;
        lock (_signal)
            Monitor.PulseAll(_signal);
    }

    /// <summary>
    /// Refuses new calls and waits for those in progress. False where another thread has closed it already; that thread waits too.
    /// </summary>
    public bool Close()
    {
        int calls = Volatile.Read(ref _calls);
        while (calls >= 0)
        {
            int seen = Interlocked.CompareExchange(ref _calls, Closed + calls, calls);
            if (seen == calls)
            {
                WaitForCalls();
                return true;
            }

            calls = seen;
        }

        WaitForCalls();
        return false;
    }

    private void WaitForCalls()
    {
        lock (_signal)
        {
            while (Volatile.Read(ref _calls) != Closed)
                Monitor.Wait(_signal);
        }
    }
}
