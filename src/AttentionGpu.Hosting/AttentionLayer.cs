using AttentionGpu.Hosting.Scheduling;

namespace AttentionGpu.Hosting;

/// <summary>What layers of all element types have in common: a request whose elements are of another type is refused here.</summary>
internal abstract class AttentionLayer(AttentionService service, string name) : IAttentionLayer
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
    public abstract MultiHeadAttentionConfig Config { get; }

    /// <inheritdoc/>
    public abstract Type ElementType { get; }

    /// <inheritdoc/>
    public abstract int ExtraKeys { get; }

    /// <summary>The element type that the options name; null where there is none of that name.</summary>
    public static Type? TypeOf(AttentionLayerOptions options) => _types.GetValueOrDefault(options.ElementType);

    /// <summary>What is said of a name that is none.</summary>
    public static string TypeError(string layer, AttentionLayerOptions options) =>
        $"ElementType of the layer '{layer}' must be {string.Join(", ", _types.Keys)}; it was '{options.ElementType}'.";

    /// <inheritdoc/>
    public Task ForwardAsync<T>(ReadOnlyMemory<T> input, Memory<T> output, Causal causal, CancellationToken cancellationToken)
        where T : unmanaged =>
        service.ForwardAsync(Of<T>(), input, output, default, causal, cancellationToken);

    /// <inheritdoc/>
    public Task ForwardWithWeightsAsync<T>(
        ReadOnlyMemory<T> input, Memory<T> output, Memory<T> weights, Causal causal, CancellationToken cancellationToken)
        where T : unmanaged
    {
        AttentionLayer<T> layer = Of<T>();
        long tokens = input.Length / Config.EmbeddingSize;
        return weights.Length == tokens * (tokens + ExtraKeys) * Config.Heads
            ? service.ForwardAsync(layer, input, output, weights, causal, cancellationToken)
            : throw new ArgumentException(
                $"'weights' must have {Config.Heads} x {tokens} x {tokens + ExtraKeys} elements; it has {weights.Length}.", nameof(weights));
    }

    /// <summary>Makes the layer again, of the same element type, on another engine.</summary>
    public abstract void MoveTo(AttentionEngine engine);

    /// <summary>Joins requests of this layer.</summary>
    public abstract ForwardBatch Join(IReadOnlyList<ForwardRequest> requests);

    /// <summary>A request of some tokens whose result nobody reads.</summary>
    public abstract Task WarmUpAsync(int tokens, CancellationToken cancellationToken);

    /// <summary>Gives the memory of its parameters back.</summary>
    public abstract void Release();

    private AttentionLayer<T> Of<T>()
        where T : unmanaged =>
        this as AttentionLayer<T>
            ?? throw new ArgumentException(
                $"'input' has elements of type {typeof(T).Name}; the layer '{Name}' takes {ElementType.Name}.", "input");
}

/// <summary>A layer of one element type.</summary>
internal sealed class AttentionLayer<T> : AttentionLayer
    where T : unmanaged
{
    private readonly Func<AttentionEngine, MultiHeadAttention<T>> _create;

    public AttentionLayer(
        AttentionService service, string name, AttentionEngine engine, Func<AttentionEngine, MultiHeadAttention<T>> create)
        : base(service, name)
    {
        _create = create;
        Current = create(engine);
    }

    /// <inheritdoc/>
    public override MultiHeadAttentionConfig Config => Current.Config;

    /// <inheritdoc/>
    public override Type ElementType => typeof(T);

    /// <inheritdoc/>
    public override int ExtraKeys => Current.ExtraKeys;

    /// <summary>The layer on the engine that the service uses now.</summary>
    public MultiHeadAttention<T> Current { get; private set; }

    /// <inheritdoc/>
    public override void MoveTo(AttentionEngine engine) => Current = _create(engine);

    /// <inheritdoc/>
    public override ForwardBatch Join(IReadOnlyList<ForwardRequest> requests) => new ForwardBatch<T>(this, requests);

    /// <inheritdoc/>
    public override Task WarmUpAsync(int tokens, CancellationToken cancellationToken)
    {
        var input = new T[tokens * Config.EmbeddingSize];
        return ForwardAsync<T>(input, new T[input.Length], Causal.None, cancellationToken);
    }

    /// <inheritdoc/>
    public override void Release() => Current.Dispose();
}
