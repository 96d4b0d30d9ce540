using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using AttentionGpu.Hosting.Diagnostics;
using AttentionGpu.Hosting.Scheduling;
using Microsoft.Extensions.Logging;

namespace AttentionGpu.Hosting;

/// <inheritdoc cref="IAttentionService"/>
internal sealed partial class AttentionService : IAttentionService, IAsyncDisposable, IDisposable
{
    private const int WarmUpTokens = 16;

    private readonly AttentionServiceOptions _options;
    private readonly Func<string, AttentionEngineOptions, AttentionEngine> _createEngine;
    private readonly ILogger<AttentionService> _logger;
    private readonly ConcurrentDictionary<string, IAttentionLayer> _layers = new();
    private readonly RequestScheduler _scheduler;
    private readonly AttentionInstruments _instruments;
    private readonly Lock _engineLock = new();
    private volatile AttentionEngine _engine;
    private volatile bool _usesFallback;
    private int _disposed;

    public AttentionService(
        string name, AttentionServiceOptions options, IMeterFactory meters, ILogger<AttentionService> logger,
        Func<string, AttentionEngineOptions, AttentionEngine>? createEngine = null)
    {
        Name = name;
        _options = options;
        _logger = logger;
        _createEngine = createEngine ?? ((device, engineOptions) => new AttentionEngine(device, engineOptions));
        _engine = CreateEngine(options.Device);
        LogStarted(name, _engine.Device.Name, _engine.Device.Description);
        foreach ((string layer, AttentionLayerOptions layerOptions) in options.Layers)
            _layers[layer] = Load(layer, layerOptions);

        _instruments = new AttentionInstruments(meters, name, () => QueueDepth, () => _engine.MemoryInUse, () => _usesFallback);
        _scheduler = new RequestScheduler(options, Run, BatchEnded, _instruments.Waited);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public DeviceInfo Device => _engine.Device;

    /// <inheritdoc/>
    public bool UsesFallback => _usesFallback;

    /// <inheritdoc/>
    public int QueueDepth => _scheduler.Depth;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, IAttentionLayer> Layers => _layers;

    /// <summary>The engine in use now.</summary>
    public AttentionEngine Engine => _engine;

    private IEnumerable<AttentionLayer> OwnLayers => _layers.Values.Cast<AttentionLayer>();

    /// <inheritdoc/>
    public IAttentionLayer AddLayer<T>(string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
        where T : unmanaged
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        lock (_engineLock)
        {
            var layer = new AttentionLayer<T>(this, name, _engine, engine => new MultiHeadAttention<T>(engine, config, weights));
            return _layers.TryAdd(name, layer) ? layer : throw new ArgumentException($"There is a layer '{name}' already.", nameof(name));
        }
    }

    /// <inheritdoc/>
    public async Task WarmUpAsync(CancellationToken cancellationToken)
    {
        foreach (AttentionLayer layer in OwnLayers)
        {
            long start = Stopwatch.GetTimestamp();
            await layer.WarmUpAsync(WarmUpTokens, cancellationToken).ConfigureAwait(false);
            LogWarm(Name, layer.Name, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await _scheduler.DisposeAsync().ConfigureAwait(false);
        foreach (AttentionLayer layer in OwnLayers)
            layer.Release();
        _engine.Dispose();
        _instruments.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    /// <summary>Queues a request of a layer; see <see cref="IAttentionLayer.ForwardAsync"/>.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="input">[tokens, embedding size].</param>
    /// <param name="output">As long as the input.</param>
    /// <param name="weights">[heads, tokens, tokens]; empty where nobody asks.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="cancellationToken">Ends the task at once.</param>
    public Task ForwardAsync<T>(
        AttentionLayer<T> layer, ReadOnlyMemory<T> input, Memory<T> output, Memory<T> weights, Causal causal,
        CancellationToken cancellationToken)
        where T : unmanaged
    {
        int size = layer.Config.EmbeddingSize;
        if (input.Length % size != 0)
            throw new ArgumentException($"'input' must hold rows of {size}, the embedding size; it has {input.Length} elements.", nameof(input));
        if (output.Length != input.Length)
            throw new ArgumentException($"'output' must be as long as the input, {input.Length}; it has {output.Length} elements.", nameof(output));
        if (!weights.IsEmpty && output.Span.Overlaps(weights.Span))
            throw new ArgumentException("'weights' must not overlap 'output': both are written.", nameof(weights));
        if (!Enum.IsDefined(causal))
            throw new ArgumentOutOfRangeException(nameof(causal), causal, "It must be one of its named values.");
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if (cancellationToken.IsCancellationRequested)
            return Task.FromCanceled(cancellationToken);
        if (input.IsEmpty)
            return Task.CompletedTask;
        Activity? activity = StartActivity(layer, input.Length / size);
        var request = new ForwardRequest<T>
        {
            Layer = layer,
            Input = input,
            Output = output,
            Weights = weights,
            Causal = causal,
            Tokens = input.Length / size,
            Ended = outcome =>
            {
                _instruments.Ended(outcome);
                activity?.SetTag("attention.outcome", outcome).SetStatus(outcome == "failed" ? ActivityStatusCode.Error : ActivityStatusCode.Unset).Dispose();
            },
        };

        // Before it can end: a registration that comes later would stay with the token.
        if (cancellationToken.CanBeCanceled)
            request.CancelWith(cancellationToken);
        try
        {
            _scheduler.Enqueue(request);
        }
        catch (InvalidOperationException exception)
        {
            request.Fail(exception, exception is AttentionOverloadedException ? "overloaded" : "refused");
            _ = request.Task.Exception;
            throw;
        }

        return request.Task;
    }

    // It ends on another thread, so the caller keeps the activity it had.
    private Activity? StartActivity(AttentionLayer layer, int tokens)
    {
        Activity? before = Activity.Current;
        Activity? activity = AttentionInstruments.Source.StartActivity("attention.forward");
        Activity.Current = before;
        return activity?.SetTag("attention.service", Name).SetTag("attention.layer", layer.Name).SetTag("attention.tokens", tokens);
    }

    private AttentionLayer Load(string name, AttentionLayerOptions options)
    {
        Type? type = AttentionLayer.TypeOf(options);
        return type == typeof(float) ? Load<float>()
            : type == typeof(Half) ? Load<Half>()
            : type == typeof(BFloat16) ? Load<BFloat16>()
            : throw new ArgumentException(AttentionLayer.TypeError(name, options), nameof(options));

        AttentionLayer<T> Load<T>()
            where T : unmanaged =>
            new(this, name, _engine, engine => MultiHeadAttention.Load<T>(
                engine, options.Path, options.Heads, options.KeyValueHeads, options.Prefix, options: LoadOptions(name, options)));
    }

    private static MultiHeadAttentionLoadOptions LoadOptions(string name, AttentionLayerOptions options) => new()
    {
        Positions = options.Positions,
        Rotary = options.Rotary is { } rotary
            ? rotary.ToEmbedding() ?? throw new ArgumentException(AttentionRotaryOptions.Error(name), nameof(options))
            : null,
        Window = options.Window is int left ? new AttentionWindow { Left = left } : null,
        Softcap = options.Softcap,
        Scale = options.Scale,
        NormEpsilon = options.NormEpsilon,
    };

    private Exception? Run(ForwardBatch batch)
    {
        AttentionEngine engine = _engine;
        try
        {
            batch.Run();
            return null;
        }
        catch (AttentionMemoryException exception)
        {
            return exception;
        }
        catch (Exception exception)
        {
            // The loop must live whatever a driver throws.
            LogFailed(exception, Name, engine.Device.Name, batch.Count);
            if (batch.Count == 1)
                FallBack(engine);
            return new AttentionDeviceException(engine.Device.Name, exception);
        }
    }

    private void FallBack(AttentionEngine failed)
    {
        lock (_engineLock)
        {
            if (_options.FallbackDevice is not { } fallback || _usesFallback || failed != _engine)
                return;
            AttentionEngine engine;
            try
            {
                engine = CreateEngine(fallback);
                foreach (AttentionLayer layer in OwnLayers)
                    layer.MoveTo(engine);
            }
            catch (Exception exception)
            {
                LogFailed(exception, Name, fallback, 0);
                return;
            }

            _engine = engine;
            _usesFallback = true;
            LogFallback(Name, failed.Device.Name, engine.Device.Name);
        }

        try
        {
            failed.Dispose();
        }
        catch (Exception exception)
        {
            // A lost device may refuse that too.
            LogFailed(exception, Name, failed.Device.Name, 0);
        }
    }

    private AttentionEngine CreateEngine(string device) => _createEngine(device, new AttentionEngineOptions
    {
        Threads = _options.Threads,
        MemoryLimitBytes = _options.MemoryLimitBytes,
        BatchInvariant = _options.BatchInvariant,
    });

    private void BatchEnded(ForwardBatch batch, TimeSpan time) => _instruments.Batch(batch.Count, batch.Bytes, time);

    [LoggerMessage(LogLevel.Information, "Attention service '{Service}' uses {Device} ({Description}).")]
    private partial void LogStarted(string service, string device, string description);

    [LoggerMessage(LogLevel.Information, "Attention service '{Service}' has warmed layer '{Layer}' up in {Milliseconds:F0} ms.")]
    private partial void LogWarm(string service, string layer, double milliseconds);

    [LoggerMessage(LogLevel.Error, "Attention service '{Service}': {Device} failed on a batch of {Requests}.")]
    private partial void LogFailed(Exception exception, string service, string device, int requests);

    [LoggerMessage(LogLevel.Warning, "Attention service '{Service}' moves from {Device} to {Fallback}.")]
    private partial void LogFallback(string service, string device, string fallback);
}
