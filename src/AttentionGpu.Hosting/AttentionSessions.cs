using AttentionGpu.Hosting.Devices;
using AttentionGpu.Hosting.Scheduling;
using AttentionGpu.Hosting.Sessions;

namespace AttentionGpu.Hosting;

/// <summary>The sessions of a layer that has a <see cref="AttentionLayerOptions.Cache"/>.</summary>
public sealed class AttentionSessions
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, AttentionSession> _open = [];
    private readonly Dictionary<string, int> _ofClient = [];
    private int _places;

    internal AttentionSessions(AttentionService service, AttentionLayer layer, AttentionCacheOptions options, KeyValueCache cache)
    {
        Service = service;
        Layer = layer;
        Options = options;
        Memory = new CacheMemory(layer.Name, options, cache);
    }

    /// <summary>Sessions that are open.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _open.Count;
        }
    }

    /// <summary>Tokens of a session at most.</summary>
    public int Capacity => Options.Capacity;

    /// <summary>Bytes of device memory for keys and values, used or not.</summary>
    public long CacheBytes => Memory.ByteLength;

    /// <summary>
    /// Pages that no session and no kept prefix holds; of a cache that is not paged, sequences for which there is room.
    /// </summary>
    public int FreePages => Memory.FreePages;

    /// <summary>Sessions whose rows are in host memory.</summary>
    public int Spilled => Memory.Spilled;

    /// <summary>Bytes of the rows that are in host memory.</summary>
    public long SpilledBytes => Memory.SpilledBytes;

    internal AttentionService Service { get; }

    internal AttentionLayer Layer { get; }

    internal AttentionCacheOptions Options { get; }

    /// <summary>The memory, for the scheduler's thread alone.</summary>
    internal CacheMemory Memory { get; }

    /// <summary>Opens a session without tokens.</summary>
    /// <param name="client">Whom it is for: its steps take turns with those of other clients; see <see cref="ForwardOptions.Client"/>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="AttentionCacheFullException">As many are open as may (from the task).</exception>
    /// <exception cref="ObjectDisposedException">The service is disposed (from the task).</exception>
    public Task<AttentionSession> OpenAsync(string? client = null, CancellationToken cancellationToken = default) =>
        AddAsync(new AttentionSession(this, client, parent: null), session => Memory.Open(session.Memory), cancellationToken);

    /// <summary>The open session of an id; null where there is none.</summary>
    public AttentionSession? Find(string id)
    {
        lock (_gate)
            return _open.GetValueOrDefault(id);
    }

    internal Task<AttentionSession> ForkAsync(AttentionSession parent, int length, CancellationToken cancellationToken) => AddAsync(
        new AttentionSession(this, parent.Client, parent),
        session =>
        {
            Memory.Fork(parent.Memory, session.Memory, length);
            session.SetLength(length);
        },
        cancellationToken);

    /// <summary>Takes rows back that no step has. Behind the batch that runs; never fails.</summary>
    internal async Task SettleAsync(AttentionSession session)
    {
        try
        {
            await Service.InvokeAsync(() => CacheMemory.Truncate(session.Memory, session.Length)).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            // The service is disposed, and the cache with it; or the rows are taken back before the session's next step.
        }
    }

    /// <summary>As <see cref="CacheMemory.TakePrefix"/>.</summary>
    internal async Task<(byte[] Outputs, int Pages)?> TakePrefixAsync(AttentionSession session, PrefixHash[] hashes)
    {
        (byte[] Outputs, int Pages)? taken = null;
        await InvokeAsync(() => taken = Memory.TakePrefix(session.Memory, hashes)).ConfigureAwait(false);
        return taken;
    }

    /// <summary>As <see cref="CacheMemory.KeepPrefix"/>; the step that it is of has ended well, whatever becomes of this.</summary>
    internal async Task KeepPrefixAsync(AttentionSession session, PrefixHash[] hashes, byte[] outputs)
    {
        try
        {
            await Service.InvokeAsync(() => Memory.KeepPrefix(session.Memory, hashes, outputs)).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            // It is computed again next time.
        }
    }

    /// <summary>Gives a session's place and rows back.</summary>
    internal async Task RemoveAsync(AttentionSession session)
    {
        lock (_gate)
        {
            if (_open.Remove(session.Id))
                LeavePlace(session.Client);
        }

        try
        {
            await Service.InvokeAsync(() => Memory.Release(session.Memory)).ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // The cache is disposed with the service.
        }
    }

    /// <summary>Moves to the cache of another device, with the sessions whose rows can be read. On the scheduler's thread.</summary>
    internal void Move(KeyValueCache cache)
    {
        foreach (AttentionSession lost in Memory.Move(cache))
        {
            _ = lost.EndAsync(new AttentionSessionEndedException(
                lost.Id, "the service has moved to another device, and its rows could not be moved"));
        }
    }

    /// <summary>Ends the timers of all sessions.</summary>
    internal void Stop()
    {
        lock (_gate)
        {
            foreach (AttentionSession session in _open.Values)
                session.Stop();
        }
    }

    private async Task<AttentionSession> AddAsync(AttentionSession session, Action<AttentionSession> create, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        TakePlace(session.Client);
        try
        {
            await InvokeAsync(() => create(session)).ConfigureAwait(false);
        }
        catch
        {
            lock (_gate)
                LeavePlace(session.Client);
            throw;
        }

        lock (_gate)
            _open.Add(session.Id, session);
        session.Start();
        if (cancellationToken.IsCancellationRequested)
        {
            // Nobody would close it.
            await session.CloseAsync().ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
        }

        return session;
    }

    private async Task InvokeAsync(Action work)
    {
        try
        {
            await Service.InvokeAsync(work).ConfigureAwait(false);
        }
        catch (Exception exception) when (DeviceFailure.Is(exception))
        {
            throw new AttentionDeviceException(Service.Device.Name, exception);
        }
    }

    private void TakePlace(string? client)
    {
        lock (_gate)
        {
            if (_places >= Options.Sessions)
            {
                throw new AttentionCacheFullException(
                    Layer.Name, $"{_places} sessions are open, as many as may: {nameof(Options.Sessions)} is {Options.Sessions}");
            }

            int own = _ofClient.GetValueOrDefault(client ?? "");
            if (own >= Options.SessionsPerClient)
            {
                throw new AttentionCacheFullException(
                    Layer.Name,
                    $"the client has {own} sessions open, as many as it may: {nameof(Options.SessionsPerClient)} is {Options.SessionsPerClient}");
            }

            _ofClient[client ?? ""] = own + 1;
            _places++;
        }
    }

    // Within the gate.
    private void LeavePlace(string? client)
    {
        _places--;
        if (--_ofClient[client ?? ""] == 0)
            _ofClient.Remove(client ?? "");
    }
}
