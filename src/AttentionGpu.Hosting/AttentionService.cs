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
                meters, name, () => _queue.Depth, () => _devices.Engine.MemoryInUse, () => _devices.UsesFallback, () => Sessions, _log);
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

    /// <summary>The time that deadlines and idle times go by.</summary>
    public TimeProvider Time => _time;

    /// <summary>Where requests wait.</summary>
    public RequestQueue Queue => _queue;

    /// <summary>The metrics.</summary>
    public AttentionInstruments Instruments => _instruments;

    /// <summary>The engine in use now.</summary>
    public AttentionEngine Engine => _devices.Engine;

    /// <inheritdoc/>
    public IAttentionLayer AddLayer<T>(string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
        where T : unmanaged => Add<T>(name, config, weights, cache: null);

    /// <inheritdoc/>
    public IAttentionLayer AddLayer<T>(
        string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights, AttentionCacheOptions cache)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(cache);
        return cache.Problems(name).FirstOrDefault() is string problem
            ? throw new ArgumentException(problem, nameof(cache))
            : Add<T>(name, config, weights, cache);
    }

    /// <inheritdoc/>
    public async Task WarmUpAsync(CancellationToken cancellationToken)
    {
        await PrepareAsync(cancellationToken).ConfigureAwait(false);
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

    private IEnumerable<AttentionSessions> Sessions => Layers.Values.Select(layer => layer.Sessions).OfType<AttentionSessions>();

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
        RequireLimit("tokens", tokens, nameof(_options.QueueLimitTokens), _options.QueueLimitTokens, nameof(input));
        RequireBytes(ForwardRequest<T>.Size(input.Length, weights.Length), nameof(input));
        ObjectDisposedException.ThrowIf(_disposal.IsValueCreated, this);
        if (cancellationToken.IsCancellationRequested)
            return Task.FromCanceled(cancellationToken);
        if (input.IsEmpty)
            return Task.CompletedTask;
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
            Ended = Begin(layer.Name, tokens),
        };
        return StartAsync(request, options.Deadline, options.Deadline, cancellationToken);
    }

    /// <summary>Starts the trace of a request; what is returned takes its outcome.</summary>
    public Action<string> Begin(string layer, int tokens)
    {
        Activity? activity = _instruments.Start(layer, tokens);
        return outcome => _instruments.Ended(activity, outcome);
    }

    /// <summary>Queues a request that was checked.</summary>
    /// <param name="request">The request.</param>
    /// <param name="left">How long from now it is wanted; null for as long as it takes.</param>
    /// <param name="deadline">How long it was wanted for at first.</param>
    /// <param name="cancellationToken">Ends the task at once.</param>
    /// <exception cref="AttentionOverloadedException">There is no place for it.</exception>
    public Task StartAsync(ForwardRequest request, TimeSpan? left, TimeSpan? deadline, CancellationToken cancellationToken)
    {
        // Before it can end: a registration that comes later would stay with the token.
        if (cancellationToken.CanBeCanceled)
            request.CancelWith(cancellationToken);
        if (left is { } time)
            request.EndAfter(time, deadline ?? time, _time);
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
    }

    /// <summary>Refuses a request with more bytes than all that wait may have.</summary>
    /// <param name="bytes">Its bytes.</param>
    /// <param name="argument">The caller's argument that has them.</param>
    public void RequireBytes(long bytes, string argument) =>
        RequireLimit("bytes", bytes, nameof(_options.QueueLimitBytes), _options.QueueLimitBytes, argument);

    /// <summary>Tokens of a session's step that run at once: never more than the queue and a batch take.</summary>
    public int LargestPart(AttentionCacheOptions cache) =>
        (int)Math.Min(Math.Min(cache.ChunkTokens, _options.MaxBatchTokens), _options.QueueLimitTokens);

    /// <summary>Runs work between two batches, before all requests that wait.</summary>
    public Task InvokeAsync(Action work) => _scheduler.InvokeAsync(() =>
    {
        work();
        return true;
    });

    /// <summary>Checks the options of a request that a caller gives.</summary>
    public static void Validate(Causal? causal, TimeSpan? deadline)
    {
        if (causal is { } rule && !Enum.IsDefined(rule))
            throw new ArgumentOutOfRangeException(nameof(causal), causal, "It must be one of its named values.");
        if (deadline is { } given && (given <= TimeSpan.Zero || given > _longestDeadline))
            throw new ArgumentOutOfRangeException(nameof(deadline), given, "It must be more than 0 and at most one day.");
    }

    // Kernels are compiled beside the queue, whose one thread would compile one call's after another's.
    private Task PrepareAsync(CancellationToken cancellationToken) => Device.Kind is DeviceKind.Simd or DeviceKind.Reference
        ? Task.CompletedTask
        : Parallel.ForEachAsync(
        Layers.Values.Cast<AttentionLayer>().SelectMany(layer => layer.Preparations(_devices.Engine, WarmUpTokens)),
        new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = Environment.ProcessorCount },
        (prepare, _) =>
        {
            try
            {
                prepare();
            }
            catch (Exception exception)
            {
                // The request that follows fails too, and its failure is handled as any other's: it may move to the fallback.
                _log.NotPrepared(exception);
            }

            return ValueTask.CompletedTask;
        });

    private IAttentionLayer Add<T>(
        string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights, AttentionCacheOptions? cache)
        where T : unmanaged
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return _devices.Add(
            name, engine => new AttentionLayer<T>(this, name, engine, config, weights, Causal.None, _devices.CanMove, cache));
    }

    private static void RequireLimit(string what, long actual, string option, long limit, string argument)
    {
        if (actual > limit)
            throw new ArgumentException($"The request has {actual:N0} {what}; all that wait may have {limit:N0} ({option}).", argument);
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
            foreach (AttentionSessions sessions in Sessions)
                sessions.Stop();
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
            if (options is { Cache: not null, Model: not null } && read.Causal == Causal.None)
                throw new ArgumentException("tokens see those behind them, so that sessions cannot keep their rows: leave its Cache out");
            return read.Type == typeof(Half) ? Of<Half>(engine, read)
                : read.Type == typeof(BFloat16) ? Of<BFloat16>(engine, read)
                : Of<float>(engine, read);
        }

        AttentionLayer Of<T>(AttentionEngine engine, ReadLayer read)
            where T : unmanaged =>
            new AttentionLayer<T>(this, name, engine, read.Config, read.Weights, read.Causal, _devices.CanMove, options.Cache);
    }
}
