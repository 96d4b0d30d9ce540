using System.Numerics.Tensors;
using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;

namespace AttentionGpu;

/// <content>Scaled dot-product attention.</content>
public sealed partial class AttentionEngine
{
    /// <summary>
    /// <c>output = softmax(scale * query * key^T + mask) * value</c> in every head: PyTorch's <c>scaled_dot_product_attention</c>, the ONNX
    /// operator <c>Attention</c>. One pass over the keys with a running softmax (FlashAttention-2); memory does not grow with length squared.
    /// </summary>
    /// <remarks>
    /// Grouped-query attention: with fewer key/value heads than query heads, query head h uses key/value head h / (heads / key/value heads).
    /// A query that sees no key gives a row of zeros (ONNX's rule; PyTorch gives NaN). A NaN in a query, key or visible mask value makes
    /// its row NaN. Tensors may be strided; the output must not overlap an input.
    /// </remarks>
    /// <param name="query">[batch, heads, query length, head size].</param>
    /// <param name="key">[batch, key/value heads, key length, head size].</param>
    /// <param name="value">[batch, key/value heads, key length, value head size].</param>
    /// <param name="output">[batch, heads, query length, value head size]; all of it is written.</param>
    /// <param name="options">Scale and causal alignment; null for the defaults.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length].</param>
    /// <exception cref="ArgumentException">A shape does not fit, or the output overlaps an input. Nothing is written.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The scale is not finite.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public void ScaledDotProductAttention(
        in ReadOnlyTensorSpan<float> query, in ReadOnlyTensorSpan<float> key, in ReadOnlyTensorSpan<float> value,
        in TensorSpan<float> output, AttentionOptions? options = null, AttentionMask mask = default) =>
        Attend(query, key, value, output, default, needsWeights: false, averageHeads: false, options, mask);

    /// <summary>
    /// As <see cref="ScaledDotProductAttention(in ReadOnlyTensorSpan{float}, in ReadOnlyTensorSpan{float}, in ReadOnlyTensorSpan{float}, in TensorSpan{float}, AttentionOptions, AttentionMask)"/>,
    /// and returns the attention weights too: what <c>nn.MultiheadAttention(need_weights=True)</c> returns. Holds a length x length matrix
    /// per head, so it costs memory and time that the plain call does not.
    /// </summary>
    /// <param name="query">[batch, heads, query length, head size].</param>
    /// <param name="key">[batch, key/value heads, key length, head size].</param>
    /// <param name="value">[batch, key/value heads, key length, value head size].</param>
    /// <param name="output">[batch, heads, query length, value head size]; all of it is written.</param>
    /// <param name="weights">
    /// [batch, heads, query length, key length], or [batch, query length, key length] if averaged; all of it is written. Rows add up to 1, or
    /// to 0 for a query that sees no key.
    /// </param>
    /// <param name="averageHeads">Whether the weights are the mean over heads.</param>
    /// <param name="options">Scale and causal alignment; null for the defaults.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length].</param>
    /// <exception cref="ArgumentException">A shape does not fit, or an output overlaps another tensor. Nothing is written.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The scale is not finite.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public void ScaledDotProductAttentionWithWeights(
        in ReadOnlyTensorSpan<float> query, in ReadOnlyTensorSpan<float> key, in ReadOnlyTensorSpan<float> value,
        in TensorSpan<float> output, in TensorSpan<float> weights, bool averageHeads = false,
        AttentionOptions? options = null, AttentionMask mask = default) =>
        Attend(query, key, value, output, weights, needsWeights: true, averageHeads, options, mask);

    /// <summary>Scaled dot-product attention on tensors that stay on the device. Contract as for the host tensors.</summary>
    /// <param name="query">[batch, heads, query length, head size].</param>
    /// <param name="key">[batch, key/value heads, key length, head size].</param>
    /// <param name="value">[batch, key/value heads, key length, value head size].</param>
    /// <param name="output">[batch, heads, query length, value head size]; all of it is written.</param>
    /// <param name="options">Scale and causal alignment; null for the defaults.</param>
    /// <param name="mask">
    /// A boolean (true: visible) or float (added) tensor of rank 1 to 4, broadcast to [batch, heads, query length, key length].
    /// </param>
    /// <exception cref="ArgumentException">A shape does not fit, a tensor is another engine's, or the output is an input.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The scale is not finite.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    public void ScaledDotProductAttention(
        DeviceTensor<float> query, DeviceTensor<float> key, DeviceTensor<float> value, DeviceTensor<float> output,
        AttentionOptions? options = null, DeviceTensor? mask = null) =>
        Attend(query, key, value, output, null, averageHeads: false, options, mask);

    /// <summary>
    /// Scaled dot-product attention with its weights, on tensors that stay on the device. Contract as for the host tensors.
    /// </summary>
    /// <param name="query">[batch, heads, query length, head size].</param>
    /// <param name="key">[batch, key/value heads, key length, head size].</param>
    /// <param name="value">[batch, key/value heads, key length, value head size].</param>
    /// <param name="output">[batch, heads, query length, value head size]; all of it is written.</param>
    /// <param name="weights">[batch, heads, query length, key length], or [batch, query length, key length] if averaged.</param>
    /// <param name="averageHeads">Whether the weights are the mean over heads.</param>
    /// <param name="options">Scale and causal alignment; null for the defaults.</param>
    /// <param name="mask">A boolean (true: visible) or float (added) tensor of rank 1 to 4.</param>
    /// <exception cref="ArgumentException">A shape does not fit, a tensor is another engine's, or an output is another tensor.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The scale is not finite.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    public void ScaledDotProductAttentionWithWeights(
        DeviceTensor<float> query, DeviceTensor<float> key, DeviceTensor<float> value, DeviceTensor<float> output,
        DeviceTensor<float> weights, bool averageHeads = false, AttentionOptions? options = null, DeviceTensor? mask = null)
    {
        ArgumentNullException.ThrowIfNull(weights);
        Attend(query, key, value, output, weights, averageHeads, options, mask);
    }

    private unsafe void Attend(
        in ReadOnlyTensorSpan<float> query, in ReadOnlyTensorSpan<float> key, in ReadOnlyTensorSpan<float> value,
        in TensorSpan<float> output, in TensorSpan<float> weights, bool needsWeights, bool averageHeads,
        AttentionOptions? options, AttentionMask mask)
    {
        ThrowIfDisposed();
        AttentionProblem problem = new AttentionShapes
        {
            Query = query.Lengths,
            Key = key.Lengths,
            Value = value.Lengths,
            Output = output.Lengths,
            MaskKind = mask.Kind,
            Mask = mask.Lengths,
            NeedsWeights = needsWeights,
            AverageHeads = averageHeads,
            Weights = weights.Lengths,
        }.ToProblem(options ?? AttentionOptions.Default);
        ReadOnlyTensorSpan<bool> boolean = mask.Boolean;
        ReadOnlyTensorSpan<float> additive = mask.Additive;
        RequireDistinct(output, nameof(output), query, key, value, boolean, additive);
        if (needsWeights)
        {
            RequireDistinct(weights, nameof(weights), query, key, value, boolean, additive);
            HostCall.RequireDistinct(weights, output.AsReadOnlyTensorSpan(), nameof(weights), nameof(output));
        }

        fixed (float* queryPointer = query, keyPointer = key, valuePointer = value, outputPointer = output, weightsPointer = weights)
        fixed (float* additivePointer = additive)
        fixed (bool* booleanPointer = boolean)
        {
            using var call = new HostCall(Backend);
            DeviceMemory outputMemory = call.Output(output, outputPointer);
            DeviceMemory weightsMemory = needsWeights ? call.Output(weights, weightsPointer) : default;
            Execute(problem, new AttentionBuffers
            {
                Query = call.Input(query, queryPointer),
                Key = call.Input(key, keyPointer),
                Value = call.Input(value, valuePointer),
                Output = outputMemory,
                Weights = weightsMemory,
                Mask = call.Mask(mask, booleanPointer, additivePointer),
            });
            call.Finish(output, outputMemory);
            if (needsWeights)
                call.Finish(weights, weightsMemory);
        }
    }

    private void Attend(
        DeviceTensor<float> query, DeviceTensor<float> key, DeviceTensor<float> value, DeviceTensor<float> output,
        DeviceTensor<float>? weights, bool averageHeads, AttentionOptions? options, DeviceTensor? mask)
    {
        ThrowIfDisposed();
        var buffers = new AttentionBuffers
        {
            Query = RequireMine(query, nameof(query)),
            Key = RequireMine(key, nameof(key)),
            Value = RequireMine(value, nameof(value)),
            Output = RequireMine(output, nameof(output)),
            Weights = weights is null ? default : RequireMine(weights, nameof(weights)),
            Mask = mask is null ? default : RequireMine(mask, nameof(mask)),
        };
        AttentionProblem problem = new AttentionShapes
        {
            Query = query.Lengths,
            Key = key.Lengths,
            Value = value.Lengths,
            Output = output.Lengths,
            MaskKind = KindOf(mask),
            Mask = mask is null ? default : mask.Lengths,
            NeedsWeights = weights is not null,
            AverageHeads = averageHeads,
            Weights = weights is null ? default : weights.Lengths,
        }.ToProblem(options ?? AttentionOptions.Default);
        RequireDistinct(output, weights, query, key, value, mask);
        Execute(problem, buffers);
    }

    internal static MaskKind KindOf(DeviceTensor? mask) => mask switch
    {
        null => MaskKind.None,
        DeviceTensor<bool> => MaskKind.Boolean,
        _ => MaskKind.Additive,
    };

    internal static void RequireDistinct(
        DeviceTensor output, DeviceTensor? weights, DeviceTensor query, DeviceTensor key, DeviceTensor value, DeviceTensor? mask)
    {
        RequireDistinct(output, nameof(output), query, key, value, mask);
        if (weights is null)
            return;
        RequireDistinct(weights, nameof(weights), query, key, value, mask);
        Shape.RequireDistinct(weights, output, nameof(weights), nameof(output));
    }

    private static void RequireDistinct(
        DeviceTensor output, string name, DeviceTensor query, DeviceTensor key, DeviceTensor value, DeviceTensor? mask)
    {
        Shape.RequireDistinct(output, query, name, nameof(query));
        Shape.RequireDistinct(output, key, name, nameof(key));
        Shape.RequireDistinct(output, value, name, nameof(value));
        Shape.RequireDistinct(output, mask, name, nameof(mask));
    }

    internal static void RequireDistinct(
        in TensorSpan<float> output, string name, in ReadOnlyTensorSpan<float> query, in ReadOnlyTensorSpan<float> key,
        in ReadOnlyTensorSpan<float> value, in ReadOnlyTensorSpan<bool> boolean, in ReadOnlyTensorSpan<float> additive)
    {
        HostCall.RequireDistinct(output, query, name, nameof(query));
        HostCall.RequireDistinct(output, key, name, nameof(key));
        HostCall.RequireDistinct(output, value, name, nameof(value));
        HostCall.RequireDistinct(output, boolean, name, "mask");
        HostCall.RequireDistinct(output, additive, name, "mask");
    }
}
