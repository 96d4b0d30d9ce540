namespace AttentionGpu.Hosting;

/// <summary>A layer of a service, on whatever device the service uses now.</summary>
public sealed class AttentionLayer
{
    private readonly AttentionService _service;
    private readonly Func<AttentionEngine, MultiHeadAttention<float>> _create;

    internal AttentionLayer(AttentionService service, string name, AttentionEngine engine, Func<AttentionEngine, MultiHeadAttention<float>> create)
    {
        _service = service;
        _create = create;
        Name = name;
        Current = create(engine);
    }

    /// <summary>The layer's name.</summary>
    public string Name { get; }

    /// <summary>The layer's sizes.</summary>
    public MultiHeadAttentionConfig Config => Current.Config;

    internal MultiHeadAttention<float> Current { get; private set; }

    /// <summary>
    /// Self-attention of one sequence, joined with others that wait. The result is that of <see cref="MultiHeadAttention{T}.ForwardRagged"/>: as alone, up to the
    /// rounding of sums in another order (1e-5 of the largest output).
    /// </summary>
    /// <param name="input">[tokens, embedding size], row after row; must not change until the task ends.</param>
    /// <param name="output">As long as the input; may be the same memory. Written only by a task that ends well.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="cancellationToken">Ends the task at once. A batch that runs is not stopped; the others in it have their results.</param>
    /// <exception cref="ArgumentException">A length does not fit.</exception>
    /// <exception cref="AttentionOverloadedException">As many requests wait as may.</exception>
    /// <exception cref="ObjectDisposedException">The service is disposed.</exception>
    /// <exception cref="AttentionDeviceException">The device failed (from the task).</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory (from the task).</exception>
    /// <exception cref="OperationCanceledException">It was cancelled (from the task).</exception>
    public Task ForwardAsync(
        ReadOnlyMemory<float> input, Memory<float> output, Causal causal = Causal.None, CancellationToken cancellationToken = default) =>
        _service.ForwardAsync(this, input, output, default, causal, cancellationToken);

    /// <summary>As <see cref="ForwardAsync"/>, with the attention weights of each head. It waits in the same queue, and runs by itself.</summary>
    /// <param name="input">[tokens, embedding size], row after row; must not change until the task ends.</param>
    /// <param name="output">As long as the input.</param>
    /// <param name="weights">[heads, tokens, tokens]: heads times tokens squared elements.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="cancellationToken">Ends the task at once.</param>
    public Task ForwardWithWeightsAsync(
        ReadOnlyMemory<float> input, Memory<float> output, Memory<float> weights, Causal causal = Causal.None,
        CancellationToken cancellationToken = default)
    {
        long tokens = input.Length / Config.EmbeddingSize;
        return weights.Length == tokens * tokens * Config.Heads
            ? _service.ForwardAsync(this, input, output, weights, causal, cancellationToken)
            : throw new ArgumentException(
                $"'weights' must have {Config.Heads} x {tokens} x {tokens} elements; it has {weights.Length}.", nameof(weights));
    }

    internal void MoveTo(AttentionEngine engine) => Current = _create(engine);
}
