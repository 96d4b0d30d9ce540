using AttentionGpu.Layers;
using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;

namespace AttentionGpu;

/// <content>The calls of the layer.</content>
public sealed partial class MultiHeadAttention
{
    /// <summary>
    /// Self-attention: queries, keys and values are all made from <paramref name="input"/>, in one product. Tensors are in host memory or on the
    /// device.
    /// </summary>
    /// <param name="input">[batch, length, embedding size], or [length, batch, embedding size] where the layer is not batch-first.</param>
    /// <param name="output">The shape of the input; all of it is written. Must not overlap an input.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length]; true where visible, or added.</param>
    /// <param name="keyPaddingMask">[batch, key length], true where a key is padding; leave it out for none.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or the output overlaps an input. Nothing is written.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void Forward(
        TensorInput<float> input, TensorOutput<float> output, Causal causal = Causal.None, AttentionMask mask = default,
        TensorInput<bool> keyPaddingMask = default) =>
        Forward(input, input, input, output, causal, mask, keyPaddingMask);

    /// <summary>Cross-attention: queries from one tensor, keys and values from others.</summary>
    /// <param name="query">[batch, query length, embedding size] (or length first).</param>
    /// <param name="key">[batch, key length, key size] (or length first); the same tensor as the query for self-attention.</param>
    /// <param name="value">[batch, key length, value size] (or length first).</param>
    /// <param name="output">The shape of the query; all of it is written. Must not overlap an input.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length]; true where visible, or added.</param>
    /// <param name="keyPaddingMask">[batch, key length], true where a key is padding; leave it out for none.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or the output overlaps an input. Nothing is written.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void Forward(
        TensorInput<float> query, TensorInput<float> key, TensorInput<float> value, TensorOutput<float> output,
        Causal causal = Causal.None, AttentionMask mask = default, TensorInput<bool> keyPaddingMask = default) =>
        Run(new LayerCall
        {
            Query = query,
            Key = key,
            Value = value,
            Output = output,
            Causal = causal,
            Mask = mask,
            KeyPadding = keyPaddingMask,
        });

    /// <summary>
    /// Self-attention of several sequences that lie one after another without padding, each by itself: FlashAttention's variable-length calls. A
    /// sequence has the result that it would have alone, up to the rounding of sums in another order.
    /// </summary>
    /// <param name="input">[tokens, embedding size]: all sequences' tokens.</param>
    /// <param name="cumulativeLengths">Where each sequence starts, from 0 on, and the number of tokens: one more than there are sequences.</param>
    /// <param name="output">The shape of the input; all of it is written. Must not overlap the input.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <exception cref="ArgumentException">
    /// A shape or a start does not fit, keys or values have a size of their own, a tensor is another engine's, or the output overlaps the input. Nothing is written.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void ForwardRagged(
        TensorInput<float> input, ReadOnlySpan<int> cumulativeLengths, TensorOutput<float> output, Causal causal = Causal.None)
    {
        if (cumulativeLengths.IsEmpty)
            throw new ArgumentException("'cumulativeLengths' must start with 0 and end with the number of tokens.", nameof(cumulativeLengths));
        Run(new LayerCall
        {
            Query = input,
            Key = input,
            Value = input,
            Output = output,
            Causal = causal,
            CumulativeLengths = cumulativeLengths,
        });
    }

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
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or an output overlaps another tensor. Nothing is written.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void ForwardWithWeights(
        TensorInput<float> query, TensorInput<float> key, TensorInput<float> value, TensorOutput<float> output, TensorOutput<float> weights,
        bool averageHeads = false, Causal causal = Causal.None, AttentionMask mask = default, TensorInput<bool> keyPaddingMask = default)
    {
        if (!weights.IsPresent)
            throw ShapeRules.Error(weights.Lengths, "must be given", nameof(weights));
        Run(new LayerCall
        {
            Query = query,
            Key = key,
            Value = value,
            Output = output,
            Weights = weights,
            AverageHeads = averageHeads,
            Causal = causal,
            Mask = mask,
            KeyPadding = keyPaddingMask,
        });
    }

    private unsafe void Run(in LayerCall call)
    {
        ThrowIfDisposed();
        var problem = new LayerProblem(Config, _parameters, call);
        RequireDistinct(call.Output, "output", call);
        RequireDistinct(call.Weights, "weights", call);
        CallMemory.RequireDistinct(call.Weights, call.Output.AsInput(), "weights", "output");

        fixed (float* query = call.Query.Host, key = call.Key.Host, value = call.Value.Host)
        fixed (float* output = call.Output.Host, weights = call.Weights.Host, bias = call.Mask.Bias.Host)
        fixed (bool* mask = call.Mask.Visible.Host, padding = call.KeyPadding.Host)
        {
            using var memory = new CallMemory(_engine);
            DeviceMemory outputMemory = memory.Output(call.Output, output, "output");
            DeviceMemory weightsMemory = memory.Output(call.Weights, weights, "weights");
            DeviceMemory queryMemory = memory.Input(call.Query, query, "query");
            DeviceMemory keyMemory = call.Query.IsSame(call.Key) ? queryMemory : memory.Input(call.Key, key, "key");
            Run(problem, new AttentionBuffers
            {
                Query = queryMemory,
                Key = keyMemory,
                Value = call.Key.IsSame(call.Value) ? keyMemory : memory.Input(call.Value, value, "value"),
                Output = outputMemory,
                Scores = weightsMemory,
                Mask = memory.Input(call.Mask.Visible, mask, "mask"),
                Bias = memory.Input(call.Mask.Bias, bias, "mask"),
                KeyPadding = memory.Input(call.KeyPadding, padding, "keyPaddingMask"),
                Sequences = memory.Input(problem.Sequences),
            });
            memory.Finish(call.Output, outputMemory);
            memory.Finish(call.Weights, weightsMemory);
        }
    }

    private static void RequireDistinct(TensorOutput<float> output, string name, in LayerCall call)
    {
        CallMemory.RequireDistinct(output, call.Query, name, "query");
        CallMemory.RequireDistinct(output, call.Key, name, "key");
        CallMemory.RequireDistinct(output, call.Value, name, "value");
        CallMemory.RequireDistinct(output, call.Mask.Visible, name, "mask");
        CallMemory.RequireDistinct(output, call.Mask.Bias, name, "mask");
        CallMemory.RequireDistinct(output, call.KeyPadding, name, "keyPaddingMask");
    }
}
