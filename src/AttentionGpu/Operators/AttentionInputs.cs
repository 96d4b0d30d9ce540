using System.Numerics.Tensors;

namespace AttentionGpu;

/// <summary>
/// What scaled dot-product attention reads. Axes are written for the default <see cref="AttentionLayout"/>. Tensors are in host memory or
/// on the
/// engine's device; spans of whole numbers are in host memory, where they are checked before anything is computed.
/// </summary>
/// <remarks>
/// Tensors in the layout <see cref="AttentionLayout.BatchHeadsLength"/> may leave out the batch, [heads, length, size], or batch and heads,
/// [length, size], as in PyTorch: an axis that is left out is 1 long. All tensors of the call then leave out the same axes, outputs too:
/// without the batch scores are [heads, query length, key length] and padding is [key length]. Masks broadcast as ever.
/// Ragged sequences (FlashAttention's <c>varlen</c> functions): with <see cref="CumulativeQueryLengths"/> queries, keys, values and the
/// output are [tokens, heads, size], one sequence after another. Masks, padding, documents, past and present, prefix lengths and scores
/// must be left out then. A sequence may use fewer keys than it has room for, see <see cref="KeyLengths"/>. The last sequence may end
/// before the tokens: the tokens behind it belong to no sequence. Their queries, keys and values are not read. They see no key, an
/// <see cref="ExtraKey"/> neither: their outputs are zeros, with a log-sum-exp of -inf or of the head's sink. (FlashAttention leaves them
/// unwritten.) Members are fields, so that a call copies only the members that it sets.
/// </remarks>
/// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; arithmetic is in float32.</typeparam>
public ref struct AttentionInputs<T>
    where T : unmanaged
{
    /// <summary>[batch, heads, query length, head size].</summary>
    public required TensorInput<T> Query;

    /// <summary>[batch, key/value heads, key length, head size].</summary>
    public required TensorInput<T> Key;

    /// <summary>[batch, key/value heads, key length, value head size].</summary>
    public required TensorInput<T> Value;

    /// <summary>
    /// [batch, key/value heads, past length, head size]: keys before those of <see cref="Key"/>, normalised and rotated already. They are
    /// copied, but where <see cref="AttentionOutputs{T}.PresentKey"/> begins with them in their own memory.
    /// </summary>
    public TensorInput<T> PastKey;

    /// <summary>[batch, key/value heads, past length, value head size]: values before those of <see cref="Value"/>.</summary>
    public TensorInput<T> PastValue;

    /// <summary>
    /// A step of sequences of a key/value cache. Queries, keys, values and output are then ragged, [tokens, heads, size], with the tokens
    /// of the batch: keys and values are written behind their sequence's rows, normalised and rotated, and the queries attend to all of
    /// them. Positions count on from the sequence's rows. Keys and values are left out where the batch does not append, and values where
    /// the cache has values in keys. Everything that ragged sequences exclude is left out, lengths too.
    /// </summary>
    public KeyValueBatch Cache;

    /// <summary>The layer of <see cref="Cache"/>.</summary>
    public int CacheLayer;

    /// <summary>
    /// Hides keys and adds to scores. Its key axis is the past and the keys together; keys behind the end of a shorter mask are hidden.
    /// </summary>
    public AttentionMask Mask;

    /// <summary>[batch, key length], the past included: true where a key is padding, which no query sees.</summary>
    public TensorInput<bool> KeyPaddingMask;

    /// <summary>
    /// [batch, key length], the past included: added to the score of a key in every head and for every query, beside <see cref="Mask"/>;
    /// -inf hides the key. PyTorch's <c>nn.MultiheadAttention</c> with a <c>key_padding_mask</c> of floats.
    /// </summary>
    public TensorInput<float> KeyPaddingBias;

    /// <summary>
    /// [batch]: how many keys of a batch entry there are; what lies behind them is not read. 0 to the key length each. The ONNX operator's
    /// <c>nonpad_kv_seqlen</c>, for a cache that <see cref="AttentionEngine.TensorScatter{T}"/> fills. For ragged sequences [sequences]:
    /// how many of its keys each uses, from its start on, as FlashAttention's <c>seqused_k</c>; 0 to the distance to the next start each.
    /// </summary>
    public ReadOnlySpan<int> KeyLengths;

    /// <summary>[batch]: keys at the start that every query sees in spite of <see cref="Causal"/>: a prefix LM (T5).</summary>
    public ReadOnlySpan<int> PrefixLengths;

    /// <summary>
    /// [sequences + 1]: where each ragged sequence's queries start, and where the last ones end: 0 first, never falling, at most the
    /// number of query tokens last.
    /// </summary>
    public ReadOnlySpan<int> CumulativeQueryLengths;

    /// <summary>[sequences + 1]: the same for keys and values; left out where it is the same as for queries.</summary>
    public ReadOnlySpan<int> CumulativeKeyLengths;

    /// <summary>
    /// [batch, query length]: a query sees the keys with its own number, as of a document (block-diagonal masks, segment ids).
    /// </summary>
    public ReadOnlyTensorSpan<int> QueryDocuments;

    /// <summary>[batch, key length], the past included; left out where it is the same as for queries.</summary>
    public ReadOnlyTensorSpan<int> KeyDocuments;

    /// <summary>
    /// [heads], or [batch, heads] ([sequences, heads] for ragged sequences): what a step away from the query costs a key:
    /// <c>score - slope * |query position - key position|</c>, the last query standing at the last key. ALiBi (Press and others, 2022),
    /// FlashAttention's <c>alibi_slopes</c>.
    /// </summary>
    public TensorInput<float> AlibiSlopes;

    /// <summary>
    /// [heads, 2 x reach + 1]: added to a score by the distance <c>key position - query position</c>, the last query standing at the last
    /// key: element 0 is for a key that is reach or more places before the query, element reach for the query's own place. Finite; a mask
    /// hides keys. The relative position bias of T5 (Raffel and others, 2020), whose buckets a reach of its largest distance covers.
    /// </summary>
    public TensorInput<float> DistanceBias;

    /// <summary>
    /// [heads]: a logit that takes part in each softmax and has no value: attention sinks (Xiao and others, 2024; gpt-oss).
    /// </summary>
    public TensorInput<float> Sinks;

    /// <summary>
    /// [key/value heads, head size]: a key that every query of every batch entry sees beside the others, whatever hides those. It is not
    /// normalised or rotated, and nothing but soft capping changes its score. <c>bias_k</c> of PyTorch's <c>nn.MultiheadAttention</c>.
    /// </summary>
    public TensorInput<T> ExtraKey;

    /// <summary>[key/value heads, value head size]: the value of <see cref="ExtraKey"/>, <c>bias_v</c>.</summary>
    public TensorInput<T> ExtraValue;

    /// <summary>[head size]: queries are divided by their root mean square and multiplied by this, before they are rotated.</summary>
    public TensorInput<float> QueryNorm;

    /// <summary>[head size]: the same for keys; not for those of the past.</summary>
    public TensorInput<float> KeyNorm;

    /// <summary>
    /// [positions, rotary size / 2]: cosines of rotary position embedding (Su and others, "RoFormer", 2021). The first rotary size
    /// elements of a query
    /// and of a key are rotated, not those of the past.
    /// </summary>
    /// <remarks>
    /// Or [batch, length, rotary size / 2], as the ONNX operator <c>RotaryEmbedding</c> takes without <c>position_ids</c>: row i of an
    /// entry's table is that of its i-th query and of its i-th key, the past not counted. The length is then that of the queries or of the
    /// keys, whichever is longer. A batch axis of 1 is for all entries; for ragged sequences the tables are [1, tokens, rotary size / 2].
    /// With <see cref="QueryPositions"/> and <see cref="KeyPositions"/>, both of them, positions are rows of the entry's own table, which
    /// may have any length.
    /// </remarks>
    public TensorInput<float> RotaryCosine;

    /// <summary>The shape of <see cref="RotaryCosine"/>: sines of rotary position embedding.</summary>
    public TensorInput<float> RotarySine;

    /// <summary>
    /// [batch, query length]: rows of the rotary tables; left out for the past length and on (for ragged sequences, 0 and on).
    /// </summary>
    public ReadOnlyTensorSpan<int> QueryPositions;

    /// <summary>[batch, key length], the past not included; left out for the past length and on (for ragged sequences, 0 and on).</summary>
    public ReadOnlyTensorSpan<int> KeyPositions;
}
