using System.Diagnostics;
using System.Diagnostics.Metrics;
using AttentionGpu.Hosting.Devices;
using AttentionGpu.Hosting.Diagnostics;
using AttentionGpu.Hosting.Scheduling;
using Microsoft.Extensions.Logging;

namespace AttentionGpu.Hosting;

/// <inheritdoc cref="IAttentionService"/>
internal sealed class AttentionService : IAttentionService, IAsyncDisposable, IDisposable
{
    private const int WarmUpTokens = 16;

    private static readonly TimeSpan _longestDeadline = TimeSpan.FromDays(1);

    private readonly AttentionServiceOptions _options;
    private readonly TimeProvider _time;
    private readonly ServiceLog _log;
    private readonly ServiceDevices _devices;
    private readonly RequestQueue _queue;
    private readonly RequestScheduler _scheduler;
    private readonly AttentionInstruments _instruments;
    private readonly Lock _probeLock = new();
    private readonly Lazy<Task> _disposal;
    private Task<bool>? _probe;

    public AttentionService(
        string name, AttentionServiceOptions options, IMeterFactory meters, ILogger<AttentionService> logger,
        Func<string, AttentionEngineOptions, AttentionEngine>? createEngine = null, TimeProvider? time = null, BatchMemory? memory = null)
    {
        Name = name;
        _options = options;
        _time = time ?? TimeProvider.System;
        _log = new ServiceLog(logger, name);
        _disposal = new Lazy<Task>(DisposeOnceAsync);
        _devices = new ServiceDevices(options, createEngine, _time, _log);
        try
        {
            using (var reader = new LayerReader())
            {
                foreach ((string layer, AttentionLayerOptions layerOptions) in options.Layers)
                    Load(layer, layerOptions, reader);
            }

            _queue = new RequestQueue(options);
            _instruments = new AttentionInstruments(
                meters, name, () => _queue.Depth, () => _devices.Engine.MemoryInUse, () => _devices.UsesFallback, _log);
            _scheduler = new RequestScheduler(options, _queue, _devices, _instruments, memory ?? BatchMemory.Shared, _log);
        }
        catch
        {
            _instruments?.Dispose();
            _devices.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public DeviceInfo Device => _devices.Engine.Device;

    /// <inheritdoc/>
    public bool UsesFallback => _devices.UsesFallback;

    /// <inheritdoc/>
    public int QueueDepth => _queue.Depth;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, IAttentionLayer> Layers => _devices.Layers;

    /// <summary>The engine in use now.</summary>
    public AttentionEngine Engine => _devices.Engine;

    /// <inheritdoc/>
    public IAttentionLayer AddLayer<T>(string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
        where T : unmanaged
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return _devices.Add(
            name,
            engine => new AttentionLayer<T>(this, name, engine, config, weights, Causal.None, _devices.CanMove));
    }

    /// <inheritdoc/>
    public async Task WarmUpAsync(CancellationToken cancellationToken)
    {
        foreach (AttentionLayer layer in Layers.Values.Cast<AttentionLayer>())
        {
            long start = Stopwatch.GetTimestamp();
            await layer.WarmUpAsync(WarmUpTokens, cancellationToken).ConfigureAwait(false);
            _log.Warm(layer.Name, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
    }

    /// <inheritdoc/>
    public Task<bool> ReturnFromFallbackAsync(CancellationToken cancellationToken) =>
        _devices.ReturnAsync(_scheduler).WaitAsync(cancellationToken);

    /// <summary>
    /// Whether the device computes right, asked through the queue. Checks at the same time share one answer. On the fallback it tries to go
    /// back first, when that is due.
    /// </summary>
    /// <exception cref="TimeoutException">The answer did not come within <see cref="AttentionServiceOptions.HealthTimeout"/>.</exception>
    public async Task<bool> CheckHealthAsync(CancellationToken cancellationToken)
    {
        if (_devices.IsReturnDue)
            await TryReturnAsync(cancellationToken).ConfigureAwait(false);
        Task<bool> probe;
        lock (_probeLock)
        {
            if (_probe is not { IsCompleted: false })
                _probe = _scheduler.InvokeAsync(() => HealthProblem.IsRight(_devices.Engine));
            probe = _probe;
        }

        return await probe.WaitAsync(_options.HealthTimeout, _time, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => new(_disposal.Value);

    /// <inheritdoc/>
    public void Dispose() => _disposal.Value.GetAwaiter().GetResult();

    /// <summary>Queues a request of a layer; see <see cref="IAttentionLayer"/>.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="input">[tokens, embedding size].</param>
    /// <param name="output">As long as the input.</param>
    /// <param name="weights">[heads, tokens, tokens + extra keys]; empty where nobody asks.</param>
    /// <param name="options">The options.</param>
    /// <param name="cancellationToken">Ends the task at once.</param>
    public Task ForwardAsync<T>(
        AttentionLayer<T> layer, ReadOnlyMemory<T> input, Memory<T> output, Memory<T> weights, ForwardOptions options,
        CancellationToken cancellationToken)
        where T : unmanaged
    {
        int size = layer.Config.EmbeddingSize;
        if (input.Length % size != 0)
        {
            throw new ArgumentException(
                $"'input' must hold rows of {size}, the embedding size; it has {input.Length} elements.", nameof(input));
        }

        if (output.Length != input.Length)
        {
            throw new ArgumentException(
                $"'output' must be as long as the input, {input.Length}; it has {output.Length} elements.", nameof(output));
        }

        if (!weights.IsEmpty && output.Span.Overlaps(weights.Span))
            throw new ArgumentException("'weights' must not overlap 'output': both are written.", nameof(weights));
        Validate(options.Causal, options.Deadline);
        int tokens = input.Length / size;
        RequireLimit("tokens", tokens, nameof(_options.QueueLimitTokens), _options.QueueLimitTokens);
        long bytes = ForwardRequest<T>.Size(input.Length, weights.Length);
        RequireLimit("bytes", bytes, nameof(_options.QueueLimitBytes), _options.QueueLimitBytes);
        ObjectDisposedException.ThrowIf(_disposal.IsValueCreated, this);
        if (cancellationToken.IsCancellationRequested)
            return Task.FromCanceled(cancellationToken);
        if (input.IsEmpty)
            return Task.CompletedTask;
        Activity? activity = _instruments.Start(layer.Name, tokens);
        var request = new ForwardRequest<T>
        {
            Layer = layer,
            Client = options.Client ?? "",
            Input = input,
            Output = output,
            Weights = weights,
            Causal = options.Causal ?? layer.Causal,
            Tokens = tokens,
            Queue = _queue,
            Ended = outcome => _instruments.Ended(activity, outcome),
        };

        // Before it can end: a registration that comes later would stay with the token.
        if (cancellationToken.CanBeCanceled)
            request.CancelWith(cancellationToken);
        if (options.Deadline is { } deadline)
            request.EndAfter(deadline, _time);
        try
        {
            _queue.Add(request);
        }
        catch (Exception exception)
        {
            request.Fail(exception, exception is AttentionOverloadedException ? "overloaded" : "refused");
            _ = request.Task.Exception;
            throw;
        }

        return request.Task;

        static void RequireLimit(string what, long actual, string option, long limit)
        {
            if (actual > limit)
            {
                throw new ArgumentException(
                    $"The request has {actual:N0} {what}; all that wait may have {limit:N0} ({option}).", nameof(input));
            }
        }
    }

    private static void Validate(Causal? causal, TimeSpan? deadline)
    {
        if (causal is { } rule && !Enum.IsDefined(rule))
            throw new ArgumentOutOfRangeException(nameof(causal), causal, "It must be one of its named values.");
        if (deadline is { } given && (given <= TimeSpan.Zero || given > _longestDeadline))
            throw new ArgumentOutOfRangeException(nameof(deadline), given, "It must be more than 0 and at most one day.");
    }

    private async Task TryReturnAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _devices.ReturnAsync(_scheduler).WaitAsync(_options.HealthTimeout, _time, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // The broken device may never answer; the health is that of the fallback.
        }
    }

    // Every part is disposed of, whatever the others do.
    private async Task DisposeOnceAsync()
    {
        try
        {
            await _scheduler.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            _devices.Dispose();
            _instruments.Dispose();
        }
    }

    private void Load(string name, AttentionLayerOptions options, LayerReader reader)
    {
        if (options.ElementType is not null && AttentionLayer.TypeOf(options) is null)
            throw new ArgumentException(AttentionLayer.TypeError(name, options), nameof(options));
        try
        {
            _devices.Add(name, Create);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException and not AttentionMemoryException)
        {
            throw new InvalidDataException(
                $"The layer '{name}' cannot be loaded from '{options.Model ?? options.Path}': {exception.Message}", exception);
        }

        // The file may be gone when the layer moves.
        AttentionLayer Create(AttentionEngine engine)
        {
            ReadLayer read = reader.Read(name, options);
            return read.Type == typeof(Half) ? Of<Half>(engine, read)
                : read.Type == typeof(BFloat16) ? Of<BFloat16>(engine, read)
                : Of<float>(engine, read);
        }

        AttentionLayer Of<T>(AttentionEngine engine, ReadLayer read)
            where T : unmanaged =>
            new AttentionLayer<T>(this, name, engine, read.Config, read.Weights, read.Causal, _devices.CanMove);
    }
}
