using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Layers;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu;

/// <content>The calls of the layer.</content>
public sealed partial class MultiHeadAttention
{
    /// <summary>Self-attention: queries, keys and values are all made from <paramref name="input"/>, in one product.</summary>
    /// <param name="input">[batch, length, embedding size], or [length, batch, embedding size] where the layer is not batch-first.</param>
    /// <param name="output">The shape of the input; all of it is written. Must not overlap an input.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length]; true where visible, or added.</param>
    /// <param name="keyPaddingMask">[batch, key length], true where a key is padding; leave it out for none.</param>
    /// <exception cref="ArgumentException">A shape does not fit, or the output overlaps an input. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The layer or its engine is disposed.</exception>
    public void Forward(
        in ReadOnlyTensorSpan<float> input, in TensorSpan<float> output, Causal causal = Causal.None,
        AttentionMask mask = default, in ReadOnlyTensorSpan<bool> keyPaddingMask = default) =>
        Call(input, input, input, output, default, needsWeights: false, averageHeads: false, causal, mask, keyPaddingMask);

    /// <summary>Cross-attention: queries from one tensor, keys and values from others.</summary>
    /// <param name="query">[batch, query length, embedding size] (or length first).</param>
    /// <param name="key">[batch, key length, key size] (or length first).</param>
    /// <param name="value">[batch, key length, value size] (or length first).</param>
    /// <param name="output">The shape of the query; all of it is written. Must not overlap an input.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length]; true where visible, or added.</param>
    /// <param name="keyPaddingMask">[batch, key length], true where a key is padding; leave it out for none.</param>
    /// <exception cref="ArgumentException">A shape does not fit, or the output overlaps an input. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The layer or its engine is disposed.</exception>
    public void Forward(
        in ReadOnlyTensorSpan<float> query, in ReadOnlyTensorSpan<float> key, in ReadOnlyTensorSpan<float> value,
        in TensorSpan<float> output, Causal causal = Causal.None,
        AttentionMask mask = default, in ReadOnlyTensorSpan<bool> keyPaddingMask = default) =>
        Call(query, key, value, output, default, needsWeights: false, averageHeads: false, causal, mask, keyPaddingMask);

    /// <summary>As the other calls, and returns the attention weights: <c>nn.MultiheadAttention(need_weights=True)</c>.</summary>
    /// <param name="query">[batch, query length, embedding size] (or length first).</param>
    /// <param name="key">[batch, key length, key size] (or length first); the same tensor as the query for self-attention.</param>
    /// <param name="value">[batch, key length, value size] (or length first).</param>
    /// <param name="output">The shape of the query; all of it is written. Must not overlap an input.</param>
    /// <param name="weights">[batch, heads, query length, key length], or [batch, query length, key length] if averaged.</param>
    /// <param name="averageHeads">Whether the weights are the mean over heads.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length]; true where visible, or added.</param>
    /// <param name="keyPaddingMask">[batch, key length], true where a key is padding; leave it out for none.</param>
    /// <exception cref="ArgumentException">A shape does not fit, or an output overlaps another tensor. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The layer or its engine is disposed.</exception>
    public void ForwardWithWeights(
        in ReadOnlyTensorSpan<float> query, in ReadOnlyTensorSpan<float> key, in ReadOnlyTensorSpan<float> value,
        in TensorSpan<float> output, in TensorSpan<float> weights, bool averageHeads = false, Causal causal = Causal.None,
        AttentionMask mask = default, in ReadOnlyTensorSpan<bool> keyPaddingMask = default) =>
        Call(query, key, value, output, weights, needsWeights: true, averageHeads, causal, mask, keyPaddingMask);

    /// <summary>Self-attention on tensors that stay on the device. Contract as for the host tensors.</summary>
    /// <param name="input">[batch, length, embedding size] (or length first).</param>
    /// <param name="output">The shape of the input; all of it is written.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="mask">A boolean (true: visible) or float (added) tensor of rank 1 to 4.</param>
    /// <param name="keyPaddingMask">[batch, key length], true where a key is padding; null for none.</param>
    /// <exception cref="ArgumentException">A shape does not fit, a tensor is another engine's, or the output is the input.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void Forward(
        DeviceTensor<float> input, DeviceTensor<float> output, Causal causal = Causal.None, DeviceTensor? mask = null,
        DeviceTensor<bool>? keyPaddingMask = null) =>
        Call(input, input, input, output, null, averageHeads: false, causal, mask, keyPaddingMask);

    /// <summary>The layer on tensors that stay on the device. Contract as for the host tensors.</summary>
    /// <param name="query">[batch, query length, embedding size] (or length first).</param>
    /// <param name="key">[batch, key length, key size] (or length first); the same object as the query for self-attention.</param>
    /// <param name="value">[batch, key length, value size] (or length first).</param>
    /// <param name="output">The shape of the query; all of it is written.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="mask">A boolean (true: visible) or float (added) tensor of rank 1 to 4.</param>
    /// <param name="keyPaddingMask">[batch, key length], true where a key is padding; null for none.</param>
    /// <exception cref="ArgumentException">A shape does not fit, a tensor is another engine's, or the output is an input.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void Forward(
        DeviceTensor<float> query, DeviceTensor<float> key, DeviceTensor<float> value, DeviceTensor<float> output,
        Causal causal = Causal.None, DeviceTensor? mask = null, DeviceTensor<bool>? keyPaddingMask = null) =>
        Call(query, key, value, output, null, averageHeads: false, causal, mask, keyPaddingMask);

    /// <summary>The layer with its attention weights, on tensors that stay on the device. Contract as for the host tensors.</summary>
    /// <param name="query">[batch, query length, embedding size] (or length first).</param>
    /// <param name="key">[batch, key length, key size] (or length first); the same object as the query for self-attention.</param>
    /// <param name="value">[batch, key length, value size] (or length first).</param>
    /// <param name="output">The shape of the query; all of it is written.</param>
    /// <param name="weights">[batch, heads, query length, key length], or [batch, query length, key length] if averaged.</param>
    /// <param name="averageHeads">Whether the weights are the mean over heads.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="mask">A boolean (true: visible) or float (added) tensor of rank 1 to 4.</param>
    /// <param name="keyPaddingMask">[batch, key length], true where a key is padding; null for none.</param>
    /// <exception cref="ArgumentException">A shape does not fit, a tensor is another engine's, or an output is another tensor.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void ForwardWithWeights(
        DeviceTensor<float> query, DeviceTensor<float> key, DeviceTensor<float> value, DeviceTensor<float> output,
        DeviceTensor<float> weights, bool averageHeads = false, Causal causal = Causal.None,
        DeviceTensor? mask = null, DeviceTensor<bool>? keyPaddingMask = null)
    {
        ArgumentNullException.ThrowIfNull(weights);
        Call(query, key, value, output, weights, averageHeads, causal, mask, keyPaddingMask);
    }

    private unsafe void Call(
        in ReadOnlyTensorSpan<float> query, in ReadOnlyTensorSpan<float> key, in ReadOnlyTensorSpan<float> value,
        in TensorSpan<float> output, in TensorSpan<float> weights, bool needsWeights, bool averageHeads,
        Causal causal, AttentionMask mask, in ReadOnlyTensorSpan<bool> keyPaddingMask)
    {
        ThrowIfDisposed();
        bool keyIsQuery = IsSame(query, key);
        bool valueIsKey = IsSame(key, value);
        bool hasKeyPadding = keyPaddingMask.Rank != 0;
        var problem = new LayerProblem(
            Config,
            _parameters,
            new LayerShapes
            {
                Query = query.Lengths,
                Key = key.Lengths,
                Value = value.Lengths,
                Output = output.Lengths,
                SameInput = keyIsQuery && valueIsKey,
                MaskKind = mask.Kind,
                Mask = mask.Lengths,
                HasKeyPadding = hasKeyPadding,
                KeyPadding = keyPaddingMask.Lengths,
                NeedsWeights = needsWeights,
                AverageHeads = averageHeads,
                Weights = weights.Lengths,
            },
            causal);
        ReadOnlyTensorSpan<bool> boolean = mask.Boolean;
        ReadOnlyTensorSpan<float> additive = mask.Additive;
        AttentionEngine.RequireDistinct(output, nameof(output), query, key, value, boolean, additive);
        HostCall.RequireDistinct(output, keyPaddingMask, nameof(output), nameof(keyPaddingMask));
        if (needsWeights)
        {
            AttentionEngine.RequireDistinct(weights, nameof(weights), query, key, value, boolean, additive);
            HostCall.RequireDistinct(weights, keyPaddingMask, nameof(weights), nameof(keyPaddingMask));
            HostCall.RequireDistinct(weights, output.AsReadOnlyTensorSpan(), nameof(weights), nameof(output));
        }

        fixed (float* queryPointer = query, keyPointer = key, valuePointer = value, outputPointer = output, weightsPointer = weights)
        fixed (float* additivePointer = additive)
        fixed (bool* booleanPointer = boolean, paddingPointer = keyPaddingMask)
        {
            using var call = new HostCall(_engine.Backend);
            DeviceMemory outputMemory = call.Output(output, outputPointer);
            DeviceMemory weightsMemory = needsWeights ? call.Output(weights, weightsPointer) : default;
            DeviceMemory queryMemory = call.Input(query, queryPointer);
            DeviceMemory keyMemory = keyIsQuery ? queryMemory : call.Input(key, keyPointer);
            Run(problem, new AttentionBuffers
            {
                Query = queryMemory,
                Key = keyMemory,
                Value = valueIsKey ? keyMemory : call.Input(value, valuePointer),
                Output = outputMemory,
                Weights = weightsMemory,
                Mask = call.Mask(mask, booleanPointer, additivePointer),
                KeyPadding = hasKeyPadding ? call.Input(keyPaddingMask, paddingPointer) : default,
            });
            call.Finish(output, outputMemory);
            if (needsWeights)
                call.Finish(weights, weightsMemory);
        }
    }

    private void Call(
        DeviceTensor<float> query, DeviceTensor<float> key, DeviceTensor<float> value, DeviceTensor<float> output,
        DeviceTensor<float>? weights, bool averageHeads, Causal causal, DeviceTensor? mask, DeviceTensor<bool>? keyPaddingMask)
    {
        ThrowIfDisposed();
        var buffers = new AttentionBuffers
        {
            Query = _engine.RequireMine(query, nameof(query)),
            Key = _engine.RequireMine(key, nameof(key)),
            Value = _engine.RequireMine(value, nameof(value)),
            Output = _engine.RequireMine(output, nameof(output)),
            Weights = weights is null ? default : _engine.RequireMine(weights, nameof(weights)),
            Mask = mask is null ? default : _engine.RequireMine(mask, nameof(mask)),
            KeyPadding = keyPaddingMask is null ? default : _engine.RequireMine(keyPaddingMask, nameof(keyPaddingMask)),
        };
        var problem = new LayerProblem(
            Config,
            _parameters,
            new LayerShapes
            {
                Query = query.Lengths,
                Key = key.Lengths,
                Value = value.Lengths,
                Output = output.Lengths,
                SameInput = ReferenceEquals(query, key) && ReferenceEquals(key, value),
                MaskKind = AttentionEngine.KindOf(mask),
                Mask = mask is null ? default : mask.Lengths,
                HasKeyPadding = keyPaddingMask is not null,
                KeyPadding = keyPaddingMask is null ? default : keyPaddingMask.Lengths,
                NeedsWeights = weights is not null,
                AverageHeads = averageHeads,
                Weights = weights is null ? default : weights.Lengths,
            },
            causal);
        AttentionEngine.RequireDistinct(output, weights, query, key, value, mask);
        Run(problem, buffers);
    }

    private static bool IsSame(in ReadOnlyTensorSpan<float> left, in ReadOnlyTensorSpan<float> right) =>
        Unsafe.AreSame(in left.GetPinnableReference(), in right.GetPinnableReference())
        && left.Lengths.SequenceEqual(right.Lengths)
        && left.Strides.SequenceEqual(right.Strides);
}
