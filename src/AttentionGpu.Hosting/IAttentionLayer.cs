namespace AttentionGpu.Hosting;

/// <summary>
/// A layer of a service, on whatever device the service uses now. Its requests are in the layer's element type; one of another type is
/// refused. A test may put a layer of its own in its place.
/// </summary>
public interface IAttentionLayer
{
    /// <summary>The layer's name.</summary>
    string Name { get; }

    /// <summary>The layer's sizes.</summary>
    MultiHeadAttentionConfig Config { get; }

    /// <summary>
    /// The type of the elements of its inputs, outputs and weights: <see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>.
    /// </summary>
    Type ElementType { get; }

    /// <summary>Columns of the weights behind those of the tokens: <see cref="MultiHeadAttention.ExtraKeys"/>.</summary>
    int ExtraKeys => 0;

    /// <summary>
    /// Which keys a query sees by position in a request that does not say it: <see cref="AttentionGpu.Causal.TopLeft"/> for a layer of a
    /// model that is causal (<see cref="AttentionModelLayer.IsCausal"/>), none for the others, of which that is not known.
    /// </summary>
    Causal Causal => Causal.None;

    /// <summary>
    /// The sequences that the layer keeps between requests; null where it has no <see cref="AttentionLayerOptions.Cache"/>.
    /// </summary>
    AttentionSessions? Sessions => null;

    /// <summary>
    /// Self-attention of one sequence, joined with others that wait. The result is that of
    /// <see cref="MultiHeadAttention{T}.ForwardRagged"/>: as alone, up to the rounding of sums in another order (1e-5 of the largest output
    /// in float32; one rounding to the element type in others).
    /// </summary>
    /// <typeparam name="T">The layer's element type.</typeparam>
    /// <param name="input">[tokens, embedding size], row after row; must not change until the task ends.</param>
    /// <param name="output">As long as the input; may be the same memory. Written only by a task that ends well.</param>
    /// <param name="options">Which keys a query may see, whom the request is for, and until when it is wanted.</param>
    /// <param name="cancellationToken">
    /// Ends the task, and frees the request's place, at once. A batch that runs is not stopped; the others in it have their results.
    /// </param>
    /// <exception cref="ArgumentException">
    /// A length does not fit, the elements are not of the layer's type, an option is out of range, or the request is larger than all that
    /// may wait. Nothing is queued.
    /// </exception>
    /// <exception cref="AttentionOverloadedException">As much waits as may.</exception>
    /// <exception cref="ObjectDisposedException">The service is disposed.</exception>
    /// <exception cref="AttentionDeviceException">
    /// The device failed, and there is no fallback or it failed too (from the task).
    /// </exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory, of the device or the host (from the task).</exception>
    /// <exception cref="AttentionDeadlineException">The deadline has passed (from the task).</exception>
    /// <exception cref="OperationCanceledException">It was cancelled (from the task).</exception>
    Task ForwardAsync<T>(
        ReadOnlyMemory<T> input, Memory<T> output, ForwardOptions options, CancellationToken cancellationToken = default)
        where T : unmanaged;

    /// <summary>
    /// As the other <c>ForwardAsync</c>, with the attention weights of each head. It waits in the same queue, and runs by itself.
    /// </summary>
    /// <typeparam name="T">The layer's element type.</typeparam>
    /// <param name="input">[tokens, embedding size], row after row; must not change until the task ends.</param>
    /// <param name="output">As long as the input; may be the same memory. Written only by a task that ends well.</param>
    /// <param name="weights">[heads, tokens, tokens + <see cref="ExtraKeys"/>]. Must not overlap the output.</param>
    /// <param name="options">Which keys a query may see, whom the request is for, and until when it is wanted.</param>
    /// <param name="cancellationToken">Ends the task, and frees the request's place, at once.</param>
    Task ForwardWithWeightsAsync<T>(
        ReadOnlyMemory<T> input, Memory<T> output, Memory<T> weights, ForwardOptions options,
        CancellationToken cancellationToken = default)
        where T : unmanaged;

    /// <summary>
    /// <see cref="ForwardAsync{T}(ReadOnlyMemory{T}, Memory{T}, ForwardOptions, CancellationToken)"/> for nobody in particular and without
    /// a deadline.
    /// </summary>
    /// <typeparam name="T">The layer's element type.</typeparam>
    /// <param name="input">[tokens, embedding size].</param>
    /// <param name="output">As long as the input.</param>
    /// <param name="causal">Which keys a query may see by position alone; null for what the layer does, <see cref="Causal"/>.</param>
    /// <param name="cancellationToken">Ends the task at once.</param>
    Task ForwardAsync<T>(
        ReadOnlyMemory<T> input, Memory<T> output, Causal? causal = null, CancellationToken cancellationToken = default)
        where T : unmanaged =>
        ForwardAsync(input, output, new ForwardOptions { Causal = causal }, cancellationToken);

    /// <summary>
    /// <see cref="ForwardWithWeightsAsync{T}(ReadOnlyMemory{T}, Memory{T}, Memory{T}, ForwardOptions, CancellationToken)"/> for nobody in
    /// particular and without a deadline.
    /// </summary>
    /// <typeparam name="T">The layer's element type.</typeparam>
    /// <param name="input">[tokens, embedding size].</param>
    /// <param name="output">As long as the input.</param>
    /// <param name="weights">[heads, tokens, tokens + <see cref="ExtraKeys"/>].</param>
    /// <param name="causal">Which keys a query may see by position alone; null for what the layer does, <see cref="Causal"/>.</param>
    /// <param name="cancellationToken">Ends the task at once.</param>
    Task ForwardWithWeightsAsync<T>(
        ReadOnlyMemory<T> input, Memory<T> output, Memory<T> weights, Causal? causal = null,
        CancellationToken cancellationToken = default)
        where T : unmanaged =>
        ForwardWithWeightsAsync(input, output, weights, new ForwardOptions { Causal = causal }, cancellationToken);
}
