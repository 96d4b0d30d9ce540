namespace AttentionGpu.Memory;

/// <summary>
/// Memory with an owner and users: calls and views. The owner may give it up while others still use it; the last one to leave returns it,
/// so
/// that the next one to rent never gets memory that is still read or written.
/// </summary>
internal sealed class SharedMemory
{
    private readonly DeviceMemory _memory;
    private readonly Action? _released;
    private int _users = 1;

    /// <param name="lifetime">The engine whose memory it is.</param>
    /// <param name="memory">The memory.</param>
    /// <param name="released">Called when nobody uses it any more; null to return it to the engine's memory.</param>
    public SharedMemory(EngineLifetime lifetime, DeviceMemory memory, Action? released = null)
    {
        Lifetime = lifetime;
        _memory = memory;
        _released = released;
    }

    public EngineLifetime Lifetime { get; }

    /// <summary>Memory of the engine's pool.</summary>
    /// <exception cref="AttentionMemoryException">There is not enough.</exception>
    public static SharedMemory Rent(EngineLifetime lifetime, long byteLength) => new(lifetime, lifetime.Memory.Rent(byteLength));

    /// <summary>The memory, for a user that must <see cref="Release"/> it; false where nobody uses it any more.</summary>
    public bool TryAcquire(out DeviceMemory memory)
    {
        memory = _memory;
        int users = Volatile.Read(ref _users);
        while (users > 0)
        {
            int seen = Interlocked.CompareExchange(ref _users, users + 1, users);
            if (seen == users)
                return true;
            users = seen;
        }

        return false;
    }

    /// <summary>The memory, to compare and not to read or write.</summary>
    public DeviceMemory Peek() => _memory;

    /// <summary>Ends a use; the owner's too.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _users) != 0)
            return;
        if (_released is not null)
            _released();
        else
            Lifetime.Memory.Return(_memory);
    }
}
