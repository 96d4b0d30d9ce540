namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// What keeps threads from launching at once, and the accelerator from going while one of them uses it. Launches hold the gate, since ILGPU
/// sets a kernel's arguments one by one. Copies, allocations and compilations only keep it open: they may take long, and launches go on
/// meanwhile.
/// </summary>
internal sealed class AcceleratorGate
{
    private readonly object _monitor = new();
    private int _users;
    private bool _isClosed;

    /// <summary>Whether <see cref="Close"/> was called.</summary>
    public bool IsClosed
    {
        get
        {
            lock (_monitor)
            {
                return _isClosed;
            }
        }
    }

    /// <summary>Takes the gate until the scope is disposed of. A thread may take it more than once.</summary>
    /// <exception cref="ObjectDisposedException">The engine has been disposed.</exception>
    public Scope Enter()
    {
        Monitor.Enter(_monitor);
        if (!_isClosed)
            return new Scope(this, isLaunch: true);
        Monitor.Exit(_monitor);
        throw Closed();
    }

    /// <summary>Keeps the accelerator from going until the scope is disposed of; other threads may do so too, and launch.</summary>
    /// <exception cref="ObjectDisposedException">The engine has been disposed.</exception>
    public Scope KeepOpen()
    {
        lock (_monitor)
        {
            if (_isClosed)
                throw Closed();
            _users++;
        }

        return new Scope(this, isLaunch: false);
    }

    /// <summary>Lets nobody in any more, and waits until all are out. False where another call did so.</summary>
    public bool Close()
    {
        lock (_monitor)
        {
            if (_isClosed)
                return false;
            _isClosed = true;
            while (_users > 0)
                Monitor.Wait(_monitor);
            return true;
        }
    }

    private static ObjectDisposedException Closed() => new("AttentionGpu.AttentionEngine");

    private void Leave(bool isLaunch)
    {
        if (isLaunch)
        {
            Monitor.Exit(_monitor);
            return;
        }

        lock (_monitor)
        {
            _users--;
            Monitor.PulseAll(_monitor);
        }
    }

    /// <summary>A stay inside; of one thread.</summary>
    public readonly ref struct Scope(AcceleratorGate gate, bool isLaunch)
    {
        public void Dispose() => gate.Leave(isLaunch);
    }
}
