using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;

namespace AttentionGpu.Problems;

/// <summary>A sliding window: how many keys before and after its own position a query sees.</summary>
internal readonly record struct WindowSize(int Left, int Right);

/// <summary>
/// The sizes, strides and numbers of one call of attention. Where the <see cref="AttentionSignature"/> says that a feature is absent, its
/// member is not read.
/// </summary>
internal readonly struct AttentionExtent
{
    public required int Batch { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    public required int KeyValueHeads { get; init; }

    /// <summary>What a dot product is multiplied by.</summary>
    public required float Scale { get; init; }

    /// <summary>
    /// The lengths and positions of every batch entry. Where each has a sequence of its own, this one has the longest lengths, and the
    /// others
    /// are in memory.
    /// </summary>
    public required Sequence Sequence { get; init; }

    /// <summary>Where the queries lie.</summary>
    public required TensorLayout Query { get; init; }

    /// <summary>Where the keys lie.</summary>
    public required TensorLayout Key { get; init; }

    /// <summary>Where the values lie.</summary>
    public required TensorLayout Value { get; init; }

    /// <summary>Where keys and values are paged, a page has 2 to the power of this rows.</summary>
    public int PageShift { get; init; }

    /// <summary>Where the output rows go.</summary>
    public required TensorLayout Output { get; init; }

    /// <summary>Where the rows' logarithms of sums go, a row an element.</summary>
    public TensorLayout LogSumExp { get; init; }

    public WindowSize Window { get; init; }

    /// <summary>What scores are bounded by.</summary>
    public float Softcap { get; init; }

    /// <summary>Slopes from one batch entry to the next: 0 where all have the same.</summary>
    public int AlibiBatchStride { get; init; }

    /// <summary>The largest distance that has a bias of its own.</summary>
    public int DistanceReach { get; init; }

    /// <summary>Words of a row of the ancestors in a tree.</summary>
    public int AncestorWords { get; init; }

    /// <summary>
    /// Keys at the end of every batch entry that no query sees, because a mask ends before them. <see cref="Sequence"/> does not count
    /// them; 0 where each batch entry has a sequence of its own, which does not count them either.
    /// </summary>
    public int HiddenKeys { get; init; }

    /// <summary>The additive mask.</summary>
    public MaskStrides Bias { get; init; }

    /// <summary>The additive mask of keys beside it.</summary>
    public MaskStrides KeyBias { get; init; }

    /// <summary>The boolean mask.</summary>
    public MaskStrides Mask { get; init; }

    /// <summary>Queries of a head; of the longest sequence where they differ.</summary>
    public int QueryLength => Sequence.QueryLength;

    /// <summary>
    /// Keys of a head, hidden ones included; of the longest sequence where they differ. It is also the length of the key axis of documents,
    /// padding and scores.
    /// </summary>
    public int KeyLength => Sequence.KeyLength + HiddenKeys;

    /// <summary>Elements of the scores of all heads.</summary>
    public long ScoreCount => (long)Batch * Heads * QueryLength * KeyLength;

    /// <summary>Whether the output has no element.</summary>
    public bool IsEmpty => Batch == 0 || QueryLength == 0;

    /// <summary>1 / sqrt(head size).</summary>
    public static float DefaultScale(int headSize) => (float)(1.0 / Math.Sqrt(headSize));
}
