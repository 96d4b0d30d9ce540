using System.Collections.Concurrent;
using AttentionGpu.Hosting.Diagnostics;
using AttentionGpu.Hosting.Scheduling;

namespace AttentionGpu.Hosting.Devices;

/// <summary>
/// The engine that a service uses now, the layers on it, and the move to the fallback device and back. A move leaves all as it was unless
/// every layer can be made on the other device. Moves are made on the scheduler's thread, between two batches.
/// </summary>
internal sealed class ServiceDevices : IDisposable
{
    private readonly AttentionServiceOptions _options;
    private readonly Func<string, AttentionEngineOptions, AttentionEngine> _createEngine;
    private readonly TimeProvider _time;
    private readonly ServiceLog _log;
    private readonly ConcurrentDictionary<string, IAttentionLayer> _layers = new(StringComparer.OrdinalIgnoreCase);
    private readonly Lock _lock = new();
    private volatile AttentionEngine _engine;
    private volatile bool _usesFallback;
    private Task<bool>? _returning;
    private long _lastMove;
    private bool _isDisposed;

    public ServiceDevices(
        AttentionServiceOptions options, Func<string, AttentionEngineOptions, AttentionEngine>? createEngine, TimeProvider time,
        ServiceLog log)
    {
        _options = options;
        _createEngine = createEngine ?? ((device, engineOptions) => new AttentionEngine(device, engineOptions));
        _time = time;
        _log = log;
        _engine = CreateEngine(options.Device);
        log.Started(_engine.Device.Name, _engine.Device.Description);
    }

    public AttentionEngine Engine => _engine;

    public bool UsesFallback => _usesFallback;

    public IReadOnlyDictionary<string, IAttentionLayer> Layers => _layers;

    /// <summary>Whether layers must be able to be made again.</summary>
    public bool CanMove => _options.FallbackDevice is not null;

    /// <summary>Whether a return from the fallback is worth another try.</summary>
    public bool IsReturnDue
    {
        get
        {
            lock (_lock)
            {
                return _usesFallback && _time.GetElapsedTime(_lastMove) >= _options.FallbackRetryDelay;
            }
        }
    }

    private IEnumerable<AttentionLayer> OwnLayers => _layers.Values.Cast<AttentionLayer>();

    /// <summary>Makes a layer on the engine in use and adds it.</summary>
    /// <exception cref="ArgumentException">The name is taken; no layer is made.</exception>
    /// <exception cref="ObjectDisposedException">The service is disposed.</exception>
    public IAttentionLayer Add(string name, Func<AttentionEngine, AttentionLayer> create)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, typeof(IAttentionService));
            if (_layers.ContainsKey(name))
                throw new ArgumentException($"There is a layer '{name}' already.", nameof(name));
            AttentionLayer layer = create(_engine);
            _layers[name] = layer;
            return layer;
        }
    }

    /// <summary>Moves to the fallback device, if there is one and it is not in use. On the scheduler's thread.</summary>
    public bool TryFallBack()
    {
        if (_options.FallbackDevice is not { } fallback || _usesFallback)
            return false;
        try
        {
            string failed = _engine.Device.Name;
            using var prepared = new PreparedEngine(CreateEngine(fallback), OwnLayers, isChecked: false);
            if (!TryUse(prepared, isFallback: true))
                return false;
            _log.FellBack(failed, _engine.Device.Name);
            return true;
        }
        catch (Exception exception)
        {
            _log.MoveFailed(exception, fallback);
            return false;
        }
    }

    /// <summary>
    /// Moves from the fallback to the device that was asked for, if that works again. It is tried beside the requests; who comes meanwhile
    /// waits for the same try.
    /// </summary>
    /// <returns>Whether the device that was asked for is in use.</returns>
    public Task<bool> ReturnAsync(RequestScheduler scheduler)
    {
        lock (_lock)
        {
            if (!_usesFallback)
                return Task.FromResult(true);
            if (_returning is not { IsCompleted: false })
            {
                _lastMove = _time.GetTimestamp();
                _returning = Task.Run(() => TryReturnAsync(scheduler));
            }

            return _returning;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
        }

        Release(OwnLayers.Select(layer => layer.Made), _engine);
    }

    private async Task<bool> TryReturnAsync(RequestScheduler scheduler)
    {
        try
        {
            using var prepared = new PreparedEngine(CreateEngine(_options.Device), OwnLayers, isChecked: true);
            if (!await scheduler.InvokeAsync(() => TryUse(prepared, isFallback: false)).ConfigureAwait(false))
                return false;
            _log.Returned(_engine.Device.Name);
            return true;
        }
        catch (Exception exception)
        {
            _log.ReturnFailed(exception, _options.Device);
            return false;
        }
    }

    private bool TryUse(PreparedEngine prepared, bool isFallback)
    {
        IReadOnlyList<MadeLayer> layers;
        AttentionEngine engine;
        lock (_lock)
        {
            if (_isDisposed)
                return false;

            // Layers may have been added meanwhile.
            prepared.Add(OwnLayers);
            layers = prepared.Use();
            engine = _engine;
            _engine = prepared.Engine;
            _usesFallback = isFallback;
            _lastMove = _time.GetTimestamp();
        }

        Release(layers, engine);
        return true;
    }

    // A lost device may refuse this too.
    private void Release(IEnumerable<MadeLayer> layers, AttentionEngine engine)
    {
        foreach (IDisposable one in layers.Append<IDisposable>(engine))
        {
            try
            {
                one.Dispose();
            }
            catch (Exception exception)
            {
                _log.ReleaseFailed(exception, engine.Device.Name);
            }
        }
    }

    private AttentionEngine CreateEngine(string device) => _createEngine(device, new AttentionEngineOptions
    {
        Threads = _options.Threads,
        MemoryLimitBytes = _options.MemoryLimitBytes,
        BatchInvariant = _options.BatchInvariant,
    });
}
