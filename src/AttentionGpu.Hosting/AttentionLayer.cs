using System.Numerics.Tensors;
using AttentionGpu.Hosting.Devices;
using AttentionGpu.Hosting.Scheduling;

namespace AttentionGpu.Hosting;

/// <summary>What layers of all element types have in common: a request whose elements are of another type is refused here.</summary>
internal abstract class AttentionLayer(AttentionService service, string name, Causal causal) : IAttentionLayer
{
    // By the names that options have for them.
    private static readonly Dictionary<string, Type> _types = new(StringComparer.OrdinalIgnoreCase)
    {
        ["float32"] = typeof(float),
        ["float16"] = typeof(Half),
        ["bfloat16"] = typeof(BFloat16),
    };

    /// <inheritdoc/>
    public string Name { get; } = name;

    /// <inheritdoc/>
    public Causal Causal { get; } = causal;

    /// <inheritdoc/>
    public abstract MultiHeadAttentionConfig Config { get; }

    /// <inheritdoc/>
    public abstract Type ElementType { get; }

    /// <inheritdoc/>
    public abstract int ExtraKeys { get; }

    /// <inheritdoc/>
    public AttentionSessions? Sessions { get; protected init; }

    /// <summary>The element type that the options name; null where they name none, or one that there is not.</summary>
    public static Type? TypeOf(AttentionLayerOptions options) =>
        options.ElementType is string name ? _types.GetValueOrDefault(name) : null;

    /// <summary>What is said of a name that is none.</summary>
    public static string TypeError(string layer, AttentionLayerOptions options) =>
        $"ElementType of the layer '{layer}' must be {string.Join(", ", _types.Keys)}; it was '{options.ElementType}'.";

    /// <summary>The layer on the engine that the service uses now.</summary>
    public abstract MadeLayer Made { get; }

    /// <inheritdoc/>
    public Task ForwardAsync<T>(ReadOnlyMemory<T> input, Memory<T> output, ForwardOptions options, CancellationToken cancellationToken)
        where T : unmanaged =>
        service.ForwardAsync(Of<T>(), input, output, default, options, cancellationToken);

    /// <inheritdoc/>
    public Task ForwardWithWeightsAsync<T>(
        ReadOnlyMemory<T> input, Memory<T> output, Memory<T> weights, ForwardOptions options, CancellationToken cancellationToken)
        where T : unmanaged
    {
        AttentionLayer<T> layer = Of<T>();
        long tokens = input.Length / Config.EmbeddingSize;
        return weights.Length == tokens * (tokens + ExtraKeys) * Config.Heads
            ? service.ForwardAsync(layer, input, output, weights, options, cancellationToken)
            : throw new ArgumentException(
                $"'weights' must have {Config.Heads} x {tokens} x {tokens + ExtraKeys} elements; it has {weights.Length}.",
                nameof(weights));
    }

    /// <summary>Makes the layer again, of the same element type, on another engine.</summary>
    public abstract MadeLayer Make(AttentionEngine engine);

    /// <summary>Moves to what <see cref="Make"/> has made, between two batches, with the rows of sessions that can be read.</summary>
    /// <returns>What was used before.</returns>
    public abstract MadeLayer Use(MadeLayer made);

    /// <summary>Joins requests of this layer.</summary>
    public abstract ForwardBatch Join(IReadOnlyList<ForwardRequest> requests, BatchMemory memory);

    /// <summary>What compiles the kernels of each kind of request; they may run at the same time, and beside the queue.</summary>
    /// <param name="engine">The engine that the layer is on.</param>
    /// <param name="tokens">Tokens of a request of many.</param>
    public abstract IEnumerable<Action> Preparations(AttentionEngine engine, int tokens);

    /// <summary>A request of some tokens whose result nobody reads.</summary>
    public abstract Task WarmUpAsync(int tokens, CancellationToken cancellationToken);

    /// <summary>The layer, if it is of the element type.</summary>
    /// <exception cref="ArgumentException">It is of another.</exception>
    public AttentionLayer<T> Of<T>()
        where T : unmanaged =>
        this as AttentionLayer<T>
            ?? throw new ArgumentException(
                $"'input' has elements of type {typeof(T).Name}; the layer '{Name}' takes {ElementType.Name}.", "input");
}

/// <summary>A layer of one element type.</summary>
internal sealed class AttentionLayer<T> : AttentionLayer
    where T : unmanaged
{
    private readonly MultiHeadAttentionWeights? _weights;
    private MadeLayer _made;

    /// <param name="service">The service.</param>
    /// <param name="name">The layer's name.</param>
    /// <param name="engine">Where the layer is made.</param>
    /// <param name="config">The layer's sizes.</param>
    /// <param name="weights">The parameters.</param>
    /// <param name="causal">Which keys a query sees in a request that does not say it.</param>
    /// <param name="canMove">Whether the layer may have to be made again; if not, its parameters are not kept.</param>
    /// <param name="cache">The memory of its sessions; null where it has none.</param>
    /// <exception cref="ArgumentException">A size or shape is wrong.</exception>
    public AttentionLayer(
        AttentionService service, string name, AttentionEngine engine, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights,
        Causal causal, bool canMove, AttentionCacheOptions? cache)
        : base(service, name, causal)
    {
        ArgumentNullException.ThrowIfNull(config);
        RequireSelfAttention(config, nameof(config.KeySize), config.KeySize);
        RequireSelfAttention(config, nameof(config.ValueSize), config.ValueSize);
        _made = MadeLayer.Create(engine, new MultiHeadAttention<T>(engine, config, weights), cache);
        _weights = canMove ? weights : null;
        Sessions = cache is null ? null : new AttentionSessions(service, this, cache, _made.Cache!);
    }

    /// <inheritdoc/>
    public override MultiHeadAttentionConfig Config => Current.Config;

    /// <inheritdoc/>
    public override Type ElementType => typeof(T);

    /// <inheritdoc/>
    public override int ExtraKeys => Current.ExtraKeys;

    /// <inheritdoc/>
    public override MadeLayer Made => _made;

    /// <summary>As <see cref="Made"/>, with its element type.</summary>
    public MultiHeadAttention<T> Current => (MultiHeadAttention<T>)_made.Layer;

    /// <inheritdoc/>
    public override MadeLayer Make(AttentionEngine engine)
    {
        MultiHeadAttentionWeights weights = _weights
            ?? throw new InvalidOperationException($"The parameters of the layer '{Name}' were not kept.");
        return MadeLayer.Create(engine, new MultiHeadAttention<T>(engine, Config, weights), Sessions?.Options);
    }

    /// <inheritdoc/>
    public override MadeLayer Use(MadeLayer made)
    {
        MadeLayer before = _made;
        _made = made;
        if (made.Cache is { } cache)
            Sessions!.Move(cache);
        return before;
    }

    /// <inheritdoc/>
    public override ForwardBatch Join(IReadOnlyList<ForwardRequest> requests, BatchMemory memory) =>
        new ForwardBatch<T>(this, requests, memory);

    /// <inheritdoc/>
    public override IEnumerable<Action> Preparations(AttentionEngine engine, int tokens)
    {
        MultiHeadAttention<T> layer = Current;
        yield return () =>
        {
            ReadOnlySpan<int> starts = [0, tokens];
            (Tensor<T> input, Tensor<T> output) = (Rows(tokens), Rows(tokens));
            layer.Prepare(
                new MultiHeadAttentionInputs<T> { Query = input, CumulativeLengths = starts, Causal = Causal },
                new MultiHeadAttentionOutputs<T> { Output = output });
        };
        if (Sessions is null)
            yield break;

        // Many tokens and one run by other kernels.
        yield return () => PrepareStep(engine, layer, Sessions.Options, Math.Min(tokens, Sessions.Options.Capacity));
        yield return () => PrepareStep(engine, layer, Sessions.Options, 1);
    }

    /// <inheritdoc/>
    public override async Task WarmUpAsync(int tokens, CancellationToken cancellationToken)
    {
        var input = new T[tokens * Config.EmbeddingSize];
        await ForwardAsync<T>(input, new T[input.Length], new ForwardOptions(), cancellationToken).ConfigureAwait(false);
        if (Sessions is null)
            return;
        AttentionSession session = await Sessions.OpenAsync(client: null, cancellationToken).ConfigureAwait(false);
        await using (session.ConfigureAwait(false))
        {
            // Many tokens and one run by other kernels.
            int most = Math.Min(tokens, Sessions.Capacity - 1) * Config.EmbeddingSize;
            await session.StepAsync<T>(input.AsMemory(0, most), default, new StepOptions(), cancellationToken).ConfigureAwait(false);
            await session.StepAsync<T>(input.AsMemory(0, Config.EmbeddingSize), default, new StepOptions(), cancellationToken)
                .ConfigureAwait(false);
        }
    }

    // In a cache of its own: that of the sessions is the scheduler's.
    private void PrepareStep(AttentionEngine engine, MultiHeadAttention<T> layer, AttentionCacheOptions options, int tokens)
    {
        using KeyValueCache cache = options.CreateForOne(engine, layer.Config, tokens);
        using KeyValueSequence sequence = cache.Open();
        using KeyValueBatch batch = cache.Append([sequence], [tokens]);
        (Tensor<T> input, Tensor<T> output) = (Rows(tokens), Rows(tokens));
        layer.Prepare(
            new MultiHeadAttentionInputs<T> { Query = input, Cache = batch }, new MultiHeadAttentionOutputs<T> { Output = output });
    }

    private Tensor<T> Rows(int tokens) => Tensor.CreateFromShape<T>([tokens, Config.EmbeddingSize]);

    // Queries, keys and values of a request are the same tokens.
    private static void RequireSelfAttention(MultiHeadAttentionConfig config, string name, int? size)
    {
        if (size is { } given && given != config.EmbeddingSize)
        {
            throw new ArgumentException(
                $"'{name}' must be {config.EmbeddingSize}, the embedding size, as a service attends within a sequence; it was {given}.",
                nameof(config));
        }
    }
}
