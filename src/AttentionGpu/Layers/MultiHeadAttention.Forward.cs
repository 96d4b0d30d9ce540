using System.Numerics.Tensors;
using AttentionGpu.Elements;
using AttentionGpu.Operators;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <inheritdoc cref="MultiHeadAttention"/>
/// <typeparam name="T">
/// The element type of parameters, inputs and outputs: <see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>. Arithmetic is in
/// float32.
/// Rounded to the type are the weights and biases; projected queries, keys and values; queries and keys once more after both normalisation
/// and
/// rotation; the heads' outputs; the output and the attention weights. Norms, sinks, slopes, additive masks and log-sum-exp are float32.
/// </typeparam>
public sealed partial class MultiHeadAttention<T> : MultiHeadAttention
    where T : unmanaged
{
    /// <summary>A layer with given parameters, which are copied to the engine's device and rounded to the element type.</summary>
    /// <param name="engine">Runs the layer; it must outlive it.</param>
    /// <param name="config">The layer's sizes and variants.</param>
    /// <param name="weights">The parameters; their shapes must fit the sizes.</param>
    /// <exception cref="ArgumentException">A size or shape is wrong.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory for the parameters.</exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public MultiHeadAttention(AttentionEngine engine, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
        : base(engine, config, weights, ElementTypes.Of<T>())
    {
        _options = MakeOptions();
    }

    /// <inheritdoc/>
    public override Type ElementType => typeof(T);

    /// <summary>
    /// Self-attention: queries, keys and values are all made from <paramref name="input"/>, in one product. Tensors are in host memory or
    /// on the
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
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void Forward(
        TensorInput<T> input, TensorOutput<T> output, Causal causal = Causal.None, AttentionMask mask = default,
        TensorInput<bool> keyPaddingMask = default) =>
        Run(
            new MultiHeadAttentionInputs<T> { Query = input, Causal = causal, Mask = mask, KeyPaddingMask = keyPaddingMask },
            new MultiHeadAttentionOutputs<T> { Output = output },
            AttentionNames.LayerOfInput);

    /// <summary>Self-attention, as the other call, that returns its output in host memory.</summary>
    /// <param name="input">[batch, length, embedding size], or [length, batch, embedding size] where the layer is not batch-first.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length]; true where visible, or added.</param>
    /// <param name="keyPaddingMask">[batch, key length], true where a key is padding; leave it out for none.</param>
    /// <returns>A tensor of the shape of the input.</returns>
    /// <exception cref="ArgumentException">A shape does not fit, or a tensor is another engine's.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public Tensor<T> Forward(
        TensorInput<T> input, Causal causal = Causal.None, AttentionMask mask = default, TensorInput<bool> keyPaddingMask = default)
    {
        Tensor<T> output = HostTensor.CreateOutput<T>(input.Lengths, nameof(input));
        Forward(input, output, causal, mask, keyPaddingMask);
        return output;
    }

    /// <summary>Cross-attention, as the other call, that returns its output in host memory.</summary>
    /// <param name="query">[batch, query length, embedding size] (or length first).</param>
    /// <param name="key">[batch, key length, key size] (or length first); the same tensor as the query for self-attention.</param>
    /// <param name="value">[batch, key length, value size] (or length first).</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length]; true where visible, or added.</param>
    /// <param name="keyPaddingMask">[batch, key length], true where a key is padding; leave it out for none.</param>
    /// <returns>A tensor of the shape of the query.</returns>
    /// <exception cref="ArgumentException">A shape does not fit, or a tensor is another engine's.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public Tensor<T> Forward(
        TensorInput<T> query, TensorInput<T> key, TensorInput<T> value, Causal causal = Causal.None, AttentionMask mask = default,
        TensorInput<bool> keyPaddingMask = default)
    {
        Tensor<T> output = HostTensor.CreateOutput<T>(query.Lengths, nameof(query));
        Forward(query, key, value, output, causal, mask, keyPaddingMask);
        return output;
    }

    /// <summary>A call with all that a layer can have.</summary>
    /// <param name="inputs">What it reads.</param>
    /// <param name="outputs">What it writes.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, two inputs exclude each other, a tensor is another engine's, or an output overlaps another tensor. Nothing is
    /// written.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">A length or a position is out of range.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void Forward(in MultiHeadAttentionInputs<T> inputs, in MultiHeadAttentionOutputs<T> outputs) =>
        Run(inputs, outputs, AttentionNames.Layer);

    /// <summary>
    /// Compiles what a call of these shapes needs, several kernels at once, and computes nothing: a first call takes seconds on a GPU.
    /// Other layers with the same configuration need the same kernels. With a batch of a cache, the kernels for sequences that fill it are
    /// compiled too; the batch stays as it was.
    /// </summary>
    /// <param name="inputs">The inputs of the call; of tensors the shapes alone count.</param>
    /// <param name="outputs">Its outputs; none is written.</param>
    /// <exception cref="ArgumentException">The call would be refused.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A length or a position is out of range.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void Prepare(in MultiHeadAttentionInputs<T> inputs, in MultiHeadAttentionOutputs<T> outputs) =>
        Run(inputs, outputs, AttentionNames.Layer, preparesOnly: true);

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
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void Forward(
        TensorInput<T> query, TensorInput<T> key, TensorInput<T> value, TensorOutput<T> output,
        Causal causal = Causal.None, AttentionMask mask = default, TensorInput<bool> keyPaddingMask = default)
    {
        RequireKeyAndValue(key, value);
        Run(
            new MultiHeadAttentionInputs<T>
            {
                Query = query,
                Key = key,
                Value = value,
                Causal = causal,
                Mask = mask,
                KeyPaddingMask = keyPaddingMask,
            },
            new MultiHeadAttentionOutputs<T> { Output = output },
            AttentionNames.Layer);
    }

    /// <summary>
    /// Self-attention of several sequences that lie one after another without padding, each by itself: FlashAttention's variable-length
    /// calls. A
    /// sequence has the result that it would have alone, up to the rounding of sums in another order.
    /// </summary>
    /// <param name="input">[tokens, embedding size]: all sequences' tokens.</param>
    /// <param name="cumulativeLengths">
    /// Where each sequence starts, from 0 on, and the number of tokens: one more than there are sequences.
    /// </param>
    /// <param name="output">The shape of the input; all of it is written. Must not overlap the input.</param>
    /// <param name="causal">Which keys a query may see by position alone.</param>
    /// <exception cref="ArgumentException">
    /// A shape or a start does not fit, keys or values have a size of their own, a tensor is another engine's, or the output overlaps the
    /// input. Nothing is written.
    /// </exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void ForwardRagged(
        TensorInput<T> input, ReadOnlySpan<int> cumulativeLengths, TensorOutput<T> output, Causal causal = Causal.None)
    {
        if (cumulativeLengths.IsEmpty)
            throw new ArgumentException("'cumulativeLengths' must start with 0 and end with the number of tokens.", nameof(cumulativeLengths));
        Run(
            new MultiHeadAttentionInputs<T> { Query = input, Causal = causal, CumulativeLengths = cumulativeLengths },
            new MultiHeadAttentionOutputs<T> { Output = output },
            AttentionNames.LayerOfInput);
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
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The layer, its engine or a tensor is disposed.</exception>
    public void ForwardWithWeights(
        TensorInput<T> query, TensorInput<T> key, TensorInput<T> value, TensorOutput<T> output, TensorOutput<T> weights,
        bool averageHeads = false, Causal causal = Causal.None, AttentionMask mask = default, TensorInput<bool> keyPaddingMask = default)
    {
        if (!weights.IsPresent)
            throw ShapeRules.Error(weights.Lengths, "must be given", nameof(weights));
        RequireKeyAndValue(key, value);
        Run(
            new MultiHeadAttentionInputs<T>
            {
                Query = query,
                Key = key,
                Value = value,
                Causal = causal,
                Mask = mask,
                KeyPaddingMask = keyPaddingMask,
            },
            new MultiHeadAttentionOutputs<T> { Output = output, Weights = weights, AverageWeights = averageHeads },
            AttentionNames.Layer);
    }

    // A null tensor is no tensor: without this a call for cross-attention would attend to its own queries.
    private static void RequireKeyAndValue(TensorInput<T> key, TensorInput<T> value)
    {
        if (!key.IsPresent)
            throw ShapeRules.Error(key.Lengths, "must be given", nameof(key));
        if (!value.IsPresent)
            throw ShapeRules.Error(value.Lengths, "must be given", nameof(value));
    }
}
