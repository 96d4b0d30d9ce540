using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace AttentionGpu.Backends.Simd;

/// <summary>
/// Threads that wait for work at full attention for a moment after the last, then sleep: between two calls of a model nobody has to be
/// woken, and an idle process costs nothing. One caller at a time has them; whoever comes meanwhile works alone, so callers never wait
/// for each other.
/// </summary>
internal sealed class WorkerPool
{
    private static readonly long _attentionTicks = Stopwatch.Frequency / 2000;

    private readonly Lock _gate = new();
    private readonly Helper[] _helpers;
    private volatile Job? _job;

    private WorkerPool(int helpers)
    {
        _helpers = [.. Enumerable.Range(0, helpers).Select(_ => new Helper(this))];
    }

    /// <summary>One helper for each core but the caller's.</summary>
    public static WorkerPool Shared { get; } = new(Environment.ProcessorCount - 1);

    /// <summary>Runs <paramref name="work"/> on the caller's thread and on up to <paramref name="workers"/> - 1 helpers, and waits for all.</summary>
    public void Run(Action work, int workers)
    {
        if (workers <= 1 || _helpers.Length == 0 || !_gate.TryEnter())
        {
            work();
            return;
        }

        try
        {
            var job = new Job(work, workers - 1);
            _job = job;
            Interlocked.MemoryBarrier();
            foreach (Helper helper in _helpers)
                helper.Wake();
            try
            {
                work();
            }
            finally
            {
                job.Finish();
            }
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Work that helpers may join until the caller closes it. A helper that wakes too late is not waited for.</summary>
    private sealed class Job(Action work, int tickets)
    {
        private int _tickets = tickets;
        private int _active;
        private volatile bool _closed;
        private Exception? _failure;

        public void Join()
        {
            Interlocked.Increment(ref _active);
            try
            {
                if (!_closed && Interlocked.Decrement(ref _tickets) >= 0)
                    work();
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

        public void Finish()
        {
            _closed = true;
            Interlocked.MemoryBarrier();
            var wait = default(SpinWait);
            while (Volatile.Read(ref _active) != 0)
                wait.SpinOnce(sleep1Threshold: -1);
            if (_failure is not null)
                ExceptionDispatchInfo.Throw(_failure);
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
            Job? last = null;
            while (true)
            {
                last = WaitForNext(last);
                last.Join();
            }
        }

        private Job WaitForNext(Job? last)
        {
            const int spins = 16;
            long start = Stopwatch.GetTimestamp();
            while (true)
            {
                if (_pool._job is { } job && job != last)
                    return job;
                if (Stopwatch.GetTimestamp() - start < _attentionTicks)
                {
                    Thread.SpinWait(spins);
                    continue;
                }

                // The job is looked at once more after the flag is up: a caller that did not see the flag has set it before.
                lock (_signal)
                {
                    _sleeping = true;
                    Interlocked.MemoryBarrier();
                    if (_pool._job == last)
                        Monitor.Wait(_signal);
                    _sleeping = false;
                }

                start = Stopwatch.GetTimestamp();
            }
        }
    }
}
