using System.Numerics.Tensors;

namespace AttentionGpu;

/// <summary>
/// What a call of a layer reads. Tensors are in host memory or on the engine's device; spans of whole numbers are in host memory. Axes are
/// written for a batch-first layer.
/// </summary>
/// <typeparam name="T">The element type of the layer.</typeparam>
public ref struct MultiHeadAttentionInputs<T>
    where T : unmanaged
{
    /// <summary>
    /// [batch, query length, embedding size], or [query length, embedding size] for one batch entry; [tokens, embedding size] where there
    /// are <see cref="CumulativeLengths"/>. Queries are made from it.
    /// </summary>
    public required TensorInput<T> Query;

    /// <summary>[batch, key length, key size]: keys are made from it; left out for self-attention.</summary>
    public TensorInput<T> Key;

    /// <summary>[batch, key length, value size]: values are made from it; left out where it is the same as for keys.</summary>
    public TensorInput<T> Value;

    /// <summary>
    /// A step of sequences of a key/value cache. Tensors are then ragged, [tokens, size], with the tokens of the batch. Where the batch
    /// appends, keys and values are made from <see cref="Key"/> and <see cref="Value"/>, or from the query, and written behind their
    /// sequence's rows; queries attend to all of them. Else queries alone are made, and attend to the rows that there are: both tensors are
    /// left out. Everything that ragged sequences exclude is left out, <see cref="CumulativeLengths"/> and <see cref="KeyLengths"/> too.
    /// </summary>
    public KeyValueBatch Cache;

    /// <summary>The layer of <see cref="Cache"/>.</summary>
    public int CacheLayer;

    /// <summary>
    /// Which keys a query may see by position alone; null for all of them, but in a call that appends to a <see cref="Cache"/> for those up
    /// to its own, <see cref="AttentionGpu.Causal.BottomRight"/>. In a call with a cache the last query of a sequence stands at its last
    /// row.
    /// </summary>
    public Causal? Causal;

    /// <summary>
    /// Rank 1 to 4, broadcast to [batch, heads, query length, key length]; true where visible, or added, or both. Keys behind the end of a
    /// shorter mask are hidden.
    /// </summary>
    public AttentionMask Mask;

    /// <summary>[batch, key length]: true where a key is padding.</summary>
    public TensorInput<bool> KeyPaddingMask;

    /// <summary>
    /// [batch, key length]: added to the score of a key in every head and for every query; -inf hides the key. PyTorch's
    /// <c>key_padding_mask</c> of floats.
    /// </summary>
    public TensorInput<float> KeyPaddingBias;

    /// <summary>
    /// [batch]: how many keys of a batch entry there are; the others are hidden. 0 to the key length each. For ragged sequences
    /// [sequences]: how many of its keys each uses.
    /// </summary>
    public ReadOnlySpan<int> KeyLengths;

    /// <summary>
    /// [sequences + 1]: where each of several sequences starts, from 0 on, and where the last one ends, at most at the number of tokens:
    /// FlashAttention's variable-length calls. Masks, padding and weights are left out then. Tokens behind the last sequence see no key:
    /// their outputs are the bias of the output projection.
    /// </summary>
    public ReadOnlySpan<int> CumulativeLengths;

    /// <summary>[sequences + 1]: the same for keys and values; left out where it is the same as for queries.</summary>
    public ReadOnlySpan<int> CumulativeKeyLengths;

    /// <summary>
    /// [batch, query length] ([1, tokens] for ragged sequences): positions for rotary embedding, at least 0; left out for 0 and on in each
    /// sequence; with a <see cref="Cache"/> for those of the sequence's last rows.
    /// </summary>
    public ReadOnlyTensorSpan<int> QueryPositions;

    /// <summary>[batch, key length]: the same for keys; left out where it is the same as for queries.</summary>
    public ReadOnlyTensorSpan<int> KeyPositions;
}
