using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Numerics.Tensors;
using AttentionGpu.Hosting.Diagnostics;
using AttentionGpu.Hosting.Scheduling;
using Microsoft.Extensions.Logging;

namespace AttentionGpu.Hosting;

/// <summary>An engine and its layers in a service: requests wait in a bounded queue, are joined, and run one batch at a time.</summary>
public sealed partial class AttentionService : IAsyncDisposable, IDisposable
{
    private const int WarmUpTokens = 16;

    private readonly AttentionServiceOptions _options;
    private readonly Func<string, AttentionEngineOptions, AttentionEngine> _createEngine;
    private readonly ILogger<AttentionService> _logger;
    private readonly ConcurrentDictionary<string, AttentionLayer> _layers = new();
    private readonly RequestScheduler _scheduler;
    private readonly AttentionInstruments _instruments;
    private readonly Lock _engineLock = new();
    private volatile AttentionEngine _engine;
    private volatile bool _usesFallback;
    private int _disposed;

    internal AttentionService(
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
        {
            _layers[layer] = new AttentionLayer(this, layer, _engine, engine => MultiHeadAttention.Load<float>(
                engine, layerOptions.Path, layerOptions.Heads, layerOptions.KeyValueHeads, layerOptions.Prefix));
        }

        _instruments = new AttentionInstruments(meters, name, () => QueueDepth, () => _engine.MemoryInUse, () => _usesFallback);
        _scheduler = new RequestScheduler(options, Run, BatchEnded, _instruments.Waited);
    }

    /// <summary>The service's name; empty for the one without.</summary>
    public string Name { get; }

    /// <summary>The device in use now.</summary>
    public DeviceInfo Device => _engine.Device;

    /// <summary>Whether the device that was asked for has failed and the fallback is used.</summary>
    public bool UsesFallback => _usesFallback;

    /// <summary>Requests that wait.</summary>
    public int QueueDepth => _scheduler.Depth;

    /// <summary>The layers by name.</summary>
    public IReadOnlyDictionary<string, AttentionLayer> Layers => _layers;

    internal AttentionEngine Engine => _engine;

    /// <summary>Adds a layer with given parameters.</summary>
    /// <param name="name">Its name; there must be none such.</param>
    /// <param name="config">The layer's sizes.</param>
    /// <param name="weights">The parameters; kept, for a fallback device.</param>
    /// <exception cref="ArgumentException">The name is taken, or a size or shape is wrong.</exception>
    public AttentionLayer AddLayer(string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        lock (_engineLock)
        {
            var layer = new AttentionLayer(this, name, _engine, engine => new MultiHeadAttention<float>(engine, config, weights));
            return _layers.TryAdd(name, layer) ? layer : throw new ArgumentException($"There is a layer '{name}' already.", nameof(name));
        }
    }

    /// <summary>Runs every layer once, so that kernels are compiled.</summary>
    public async Task WarmUpAsync(CancellationToken cancellationToken = default)
    {
        foreach (AttentionLayer layer in _layers.Values)
        {
            long start = Stopwatch.GetTimestamp();
            var input = new float[WarmUpTokens * layer.Config.EmbeddingSize];
            await layer.ForwardAsync(input, new float[input.Length], Causal.None, cancellationToken).ConfigureAwait(false);
            LogWarm(Name, layer.Name, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await _scheduler.DisposeAsync().ConfigureAwait(false);
        foreach (AttentionLayer layer in _layers.Values)
            layer.Current.Dispose();
        _engine.Dispose();
        _instruments.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    internal Task ForwardAsync(
        AttentionLayer layer, ReadOnlyMemory<float> input, Memory<float> output, Memory<float> weights, Causal causal,
        CancellationToken cancellationToken)
    {
        int size = layer.Config.EmbeddingSize;
        if (input.Length % size != 0)
            throw new ArgumentException($"'input' must hold rows of {size}, the embedding size; it has {input.Length} elements.", nameof(input));
        if (output.Length != input.Length)
            throw new ArgumentException($"'output' must be as long as the input, {input.Length}; it has {output.Length} elements.", nameof(output));
        if (!Enum.IsDefined(causal))
            throw new ArgumentOutOfRangeException(nameof(causal), causal, "It must be one of its named values.");
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if (cancellationToken.IsCancellationRequested)
            return Task.FromCanceled(cancellationToken);
        if (input.IsEmpty)
            return Task.CompletedTask;
        Activity? activity = StartActivity(layer, input.Length / size);
        var request = new ForwardRequest
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

    private Exception? Run(
        AttentionLayer layer, ReadOnlySpan<float> input, int[] starts, Span<float> output, Span<float> weights, Causal causal)
    {
        AttentionEngine engine = _engine;
        try
        {
            (nint tokens, nint size) = (starts[^1], layer.Config.EmbeddingSize);
            if (weights.IsEmpty)
            {
                layer.Current.ForwardRagged(
                    new ReadOnlyTensorSpan<float>(input, [tokens, size]), starts, new TensorSpan<float>(output, [tokens, size]), causal);
                return null;
            }

            nint[] lengths = layer.Config.BatchFirst ? [1, tokens, size] : [tokens, 1, size];
            var sequence = new ReadOnlyTensorSpan<float>(input, lengths);
            layer.Current.ForwardWithWeights(
                sequence, sequence, sequence, new TensorSpan<float>(output, lengths),
                new TensorSpan<float>(weights, [1, layer.Config.Heads, tokens, tokens]), causal: causal);
            return null;
        }
        catch (AttentionMemoryException exception)
        {
            return exception;
        }
        catch (Exception exception)
        {
            // The loop must live whatever a driver throws.
            LogFailed(exception, Name, engine.Device.Name, starts.Length - 1);
            if (starts.Length == 2)
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
                foreach (AttentionLayer layer in _layers.Values)
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

    private AttentionEngine CreateEngine(string device) =>
        _createEngine(device, new AttentionEngineOptions { Threads = _options.Threads, MemoryLimitBytes = _options.MemoryLimitBytes });

    private void BatchEnded(int requests, int elements, TimeSpan time) => _instruments.Batch(requests, 2L * sizeof(float) * elements, time);

    [LoggerMessage(LogLevel.Information, "Attention service '{Service}' uses {Device} ({Description}).")]
    private partial void LogStarted(string service, string device, string description);

    [LoggerMessage(LogLevel.Information, "Attention service '{Service}' has warmed layer '{Layer}' up in {Milliseconds:F0} ms.")]
    private partial void LogWarm(string service, string layer, double milliseconds);

    [LoggerMessage(LogLevel.Error, "Attention service '{Service}': {Device} failed on a batch of {Requests}.")]
    private partial void LogFailed(Exception exception, string service, string device, int requests);

    [LoggerMessage(LogLevel.Warning, "Attention service '{Service}' moves from {Device} to {Fallback}.")]
    private partial void LogFallback(string service, string device, string fallback);
}
