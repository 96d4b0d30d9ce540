using System.Numerics.Tensors;
using AttentionGpu.Elements;
using AttentionGpu.Operators;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Scaled dot-product attention.</content>
public sealed partial class AttentionEngine
{
    /// <summary>
    /// <c>output = softmax(scale * query * key^T + mask) * value</c> in every head: PyTorch's <c>scaled_dot_product_attention</c>, the ONNX
    /// operator <c>Attention</c>. One pass over the keys with a running softmax (FlashAttention-2); memory does not grow with length
    /// squared.
    /// </summary>
    /// <remarks>
    /// Grouped-query attention: with fewer key/value heads than query heads, query head h uses key/value head h / (heads / key/value
    /// heads).
    /// A query that sees no key gives a row of zeros (ONNX's rule; PyTorch gives NaN). A NaN in a query, key or visible mask value makes
    /// its row NaN. Tensors are in host memory, where they may be strided, or on the device; the output must not overlap an input. The
    /// call returns
    /// when outputs in host memory are written; work on outputs that are on the device may still be running.
    /// </remarks>
    /// <param name="query">[batch, heads, query length, head size].</param>
    /// <param name="key">[batch, key/value heads, key length, head size].</param>
    /// <param name="value">[batch, key/value heads, key length, value head size].</param>
    /// <param name="output">[batch, heads, query length, value head size]; all of it is written.</param>
    /// <param name="options">Scale, causal alignment and other settings; null for the defaults.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length].</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or the output overlaps an input. Nothing is written.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; arithmetic is in float32.</typeparam>
    public void ScaledDotProductAttention<T>(
        TensorInput<T> query, TensorInput<T> key, TensorInput<T> value, TensorOutput<T> output,
        AttentionOptions? options = null, AttentionMask mask = default)
        where T : unmanaged =>
        ScaledDotProductAttention(
            new AttentionInputs<T> { Query = query, Key = key, Value = value, Mask = mask },
            new AttentionOutputs<T> { Output = output },
            options);

    /// <summary>
    /// As
    /// <see cref="ScaledDotProductAttention{T}(TensorInput{T}, TensorInput{T}, TensorInput{T}, TensorOutput{T}, AttentionOptions, AttentionMask)"/>,
    /// and
    /// returns the output in host memory.
    /// </summary>
    /// <inheritdoc cref="ScaledDotProductAttention{T}(TensorInput{T}, TensorInput{T}, TensorInput{T}, TensorOutput{T}, AttentionOptions, AttentionMask)" path="/*[not(self::summary)]"/>
    /// <returns>[batch, heads, query length, value head size].</returns>
    public Tensor<T> ScaledDotProductAttention<T>(
        Tensor<T> query, Tensor<T> key, Tensor<T> value, AttentionOptions? options = null, AttentionMask mask = default)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        options ??= AttentionOptions.Default;
        options.Validate();
        var inputs = new AttentionInputs<T> { Query = query, Key = key, Value = value, Mask = mask };
        Tensor<T> output = HostTensor.CreateOutput<T>(AttentionHeads.OutputLengths(inputs, options), nameof(query));
        ScaledDotProductAttention(inputs, new AttentionOutputs<T> { Output = output }, options);
        return output;
    }

    /// <summary>
    /// As
    /// <see cref="ScaledDotProductAttention{T}(TensorInput{T}, TensorInput{T}, TensorInput{T}, TensorOutput{T}, AttentionOptions, AttentionMask)"/>,
    /// and returns the attention weights too: what <c>nn.MultiheadAttention(need_weights=True)</c> returns. Holds a length x length matrix
    /// per head, so it costs memory and time that the plain call does not.
    /// </summary>
    /// <param name="query">[batch, heads, query length, head size].</param>
    /// <param name="key">[batch, key/value heads, key length, head size].</param>
    /// <param name="value">[batch, key/value heads, key length, value head size].</param>
    /// <param name="output">[batch, heads, query length, value head size]; all of it is written.</param>
    /// <param name="weights">
    /// [batch, heads, query length, key length], or [batch, query length, key length] if averaged; all of it is written. Rows add up to 1,
    /// or
    /// to 0 for a query that sees no key.
    /// </param>
    /// <param name="averageHeads">Whether the weights are the mean over heads.</param>
    /// <param name="options">Scale, causal alignment and other settings; null for the defaults.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length].</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or an output overlaps another tensor. Nothing is written.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; arithmetic is in float32.</typeparam>
    public void ScaledDotProductAttentionWithWeights<T>(
        TensorInput<T> query, TensorInput<T> key, TensorInput<T> value, TensorOutput<T> output, TensorOutput<T> weights,
        bool averageHeads = false, AttentionOptions? options = null, AttentionMask mask = default)
        where T : unmanaged
    {
        if (!weights.IsPresent)
            throw ShapeRules.Error(weights.Lengths, "must be given", nameof(weights));
        Attend(
            new AttentionInputs<T> { Query = query, Key = key, Value = value, Mask = mask },
            new AttentionOutputs<T>
            {
                Output = output,
                Scores = weights,
                ScoreStage = averageHeads ? ScoreStage.AverageWeights : ScoreStage.Weights,
            },
            options,
            AttentionNames.OperatorWithWeights);
    }

    /// <summary>
    /// Scaled dot-product attention with all that it can have: other element types, past and present, key lengths, ragged sequences,
    /// documents, prefixes, ALiBi, a bias by distance, sinks, normalisation and rotary embedding of queries and keys, scores and
    /// log-sum-exp. What a call does not use costs nothing.
    /// </summary>
    /// <remarks>
    /// A score is <c>scale * query . key</c>, both normalised and then rotated where that is asked for; then soft capping; then ALiBi;
    /// then the bias by distance; then the additive mask. Hidden keys take no part. Semantics as for the other overload
    /// where both can say a call.
    /// </remarks>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; arithmetic is in float32.</typeparam>
    /// <param name="inputs">What it reads.</param>
    /// <param name="outputs">What it writes.</param>
    /// <param name="options">Settings that are not tensors; null for the defaults.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, two inputs exclude each other, a tensor is another engine's, or an output overlaps another tensor. Nothing is
    /// written.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">An option, a length or a position is out of range.</exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    public void ScaledDotProductAttention<T>(
        in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions? options = null)
        where T : unmanaged =>
        Attend(inputs, outputs, options, AttentionNames.Operator);

    private void Attend<T>(in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions? options, AttentionNames names)
        where T : unmanaged
    {
        options ??= inputs.Cache is { IsPresent: true, Appends: true } ? AttentionOptions.CausalDefault : AttentionOptions.Default;
        var call = new CallMemory(Lifetime);
        try
        {
            ElementTypes.Of<T>();
            options.Validate();
            AttentionHeads heads = AttentionHeads.Read(inputs, outputs, options, Lifetime.Memory.IsHostMemory);
            Attend(ref call, heads, inputs, outputs, options, names, default(NoSteps));
        }
        finally
        {
            call.Dispose();
        }
    }
}
