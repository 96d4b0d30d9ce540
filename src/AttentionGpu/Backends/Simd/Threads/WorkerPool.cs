using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace AttentionGpu.Backends.Simd.Threads;

/// <summary>
/// Threads that wait for work at full attention for a moment after the last, then sleep: between two calls of a model nobody has to be
/// woken, and an idle process costs nothing. One caller at a time has them; whoever comes meanwhile works alone, so callers never wait
/// for each other.
/// </summary>
internal sealed class WorkerPool
{
    private static readonly long _spinTicks = Stopwatch.Frequency / 2000;

    private readonly Lock _gate = new();
    private readonly Helper[] _helpers;

    // The work of the caller that has the gate. Helpers may join it while it is open: a helper counts itself in first and looks whether
    // it is open then, and the caller closes it first and waits for those counted in then, so nobody works on after the call.
    private ParallelWork? _work;
    private Exception? _failure;
    private int _call;
    private int _tickets;
    private int _active;
    private bool _open;

    /// <param name="helpers">Threads beside the caller's; they live as long as the process.</param>
    internal WorkerPool(int helpers)
    {
        _helpers = [.. Enumerable.Range(0, helpers).Select(_ => new Helper(this))];
    }

    /// <summary>One helper for each core but the caller's.</summary>
    public static WorkerPool Shared { get; } = new(Environment.ProcessorCount - 1);

    /// <summary>Threads of a call at most, the caller's included.</summary>
    public int Threads => _helpers.Length + 1;

    /// <summary>
    /// Runs <paramref name="work"/> on the caller's thread and on up to <paramref name="workers"/> - 1 helpers, and waits for all.
    /// </summary>
    public void Run(ParallelWork work, int workers)
    {
        if (workers <= 1 || _helpers.Length == 0 || !_gate.TryEnter())
        {
            work.Work();
            return;
        }

        try
        {
            _work = work;
            _failure = null;
            _tickets = workers - 1;
            Volatile.Write(ref _open, true);
            Interlocked.Increment(ref _call);
            foreach (Helper helper in _helpers)
                helper.Wake();
            try
            {
                work.Work();
            }
            finally
            {
                Close();
            }

            if (_failure is not null)
                ExceptionDispatchInfo.Throw(_failure);
        }
        finally
        {
            _work = null;
            _gate.Exit();
        }
    }

    private void Close()
    {
        Volatile.Write(ref _open, false);
        Interlocked.MemoryBarrier();
        var wait = default(SpinWait);
        while (Volatile.Read(ref _active) != 0)
            wait.SpinOnce(sleep1Threshold: -1);
    }

    private void Join()
    {
        Interlocked.Increment(ref _active);
        try
        {
            if (Volatile.Read(ref _open) && Interlocked.Decrement(ref _tickets) >= 0)
                _work!.Work();
        }
        catch (Exception exception)
        {
            _failure = exception;
        }
        finally
        {
            Interlocked.Decrement(ref _active);
        }
    }

    private sealed class Helper
    {
        private readonly WorkerPool _pool;
        private readonly object _signal = new();
        private volatile bool _sleeping;

        public Helper(WorkerPool pool)
        {
            _pool = pool;
            new Thread(Loop) { IsBackground = true, Name = "AttentionGpu worker" }.Start();
        }

        public void Wake()
        {
            if (!_sleeping)
                return;
            lock (_signal)
                Monitor.Pulse(_signal);
        }

        private void Loop()
        {
            int last = 0;
            while (true)
            {
                last = WaitForNext(last);
                _pool.Join();
            }
        }

        /// <summary>Waits until there is a call after number <paramref name="last"/>, and returns its number.</summary>
        private int WaitForNext(int last)
        {
            const int spins = 16;
            long start = Stopwatch.GetTimestamp();
            while (true)
            {
                int call = Volatile.Read(ref _pool._call);
                if (call != last)
                    return call;
                if (Stopwatch.GetTimestamp() - start < _spinTicks)
                {
                    Thread.SpinWait(spins);
                    continue;
                }

                // The call is looked at once more after the flag is up: a caller that did not see the flag has counted it before.
                lock (_signal)
                {
                    _sleeping = true;
                    Interlocked.MemoryBarrier();
                    if (Volatile.Read(ref _pool._call) == last)
                        Monitor.Wait(_signal);
                    _sleeping = false;
                }

                start = Stopwatch.GetTimestamp();
            }
        }
    }
}
