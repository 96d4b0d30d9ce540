namespace AttentionGpu;

/// <summary>
/// What scaled dot-product attention writes. All of each tensor is written; none may overlap an input or another output, but that a present
/// may begin with its past.
/// </summary>
/// <remarks>
/// A present in the memory of its past: both are parts of one buffer [batch, key/value heads, capacity, size], which start at the same
/// element and have the same strides (the first rows of each head; <see cref="DeviceTensor{T}.Slice"/> of axis 2, or a slice of a tensor
/// in host memory). Only the new rows are written then, behind the past, and rows behind the present are left alone. Keys and values may
/// do so each by itself; where the batch is more than 1, in buffers of their own. On a device with memory of its own, a buffer in host
/// memory is copied there for each call: keep it on the device.
/// </remarks>
/// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>, as for the inputs.</typeparam>
public ref struct AttentionOutputs<T>
    where T : unmanaged
{
    /// <summary>[batch, heads, query length, value head size], in the order of <see cref="AttentionOptions.Layout"/>.</summary>
    public required TensorOutput<T> Output;

    /// <summary>
    /// [batch, key/value heads, past length + key length, head size]: the past and the keys, normalised and rotated. It may begin with
    /// <see cref="AttentionInputs{T}.PastKey"/>, in its memory.
    /// </summary>
    public TensorOutput<T> PresentKey;

    /// <summary>
    /// [batch, key/value heads, past length + key length, value head size]. It may begin with <see cref="AttentionInputs{T}.PastValue"/>,
    /// in its memory.
    /// </summary>
    public TensorOutput<T> PresentValue;

    /// <summary>
    /// [batch, heads, query length, key length], or without heads for their mean. Behind the keys come columns of the keys that every query
    /// sees, as in PyTorch: of <see cref="AttentionInputs{T}.ExtraKey"/>, then of <see cref="AttentionOptions.AddZeroAttention"/>. Holds a
    /// matrix per head, so it costs memory and time that the output alone does not.
    /// </summary>
    public TensorOutput<T> Scores;

    /// <summary>What <see cref="Scores"/> are.</summary>
    public ScoreStage ScoreStage;

    /// <summary>
    /// [batch, heads, query length], or [heads, tokens] for ragged sequences: the logarithm of the sum of the exponentials of a row's
    /// scores and its
    /// sink, so that a weight is <c>exp(score - this)</c>; -inf for a query that sees no key. Merges partial results, and serves the
    /// backward pass.
    /// </summary>
    public TensorOutput<float> LogSumExp;
}
