using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Problems;

/// <summary>Which keys a query sees by position, windows apart.</summary>
internal enum CausalKind
{
    /// <summary>All of them.</summary>
    None,

    /// <summary>Those up to its own position.</summary>
    Causal,

    /// <summary>Those up to its own position, and those of a prefix.</summary>
    CausalWithPrefix,
}

/// <summary>A sliding window: how many keys before and after its own position a query sees.</summary>
internal readonly record struct WindowSize(int Left, int Right);

/// <summary>The one description of an attention computation. Validated before it is made; plans are cached by it.</summary>
internal sealed record AttentionProblem
{
    public required int Batch { get; init; }

    public required int Heads { get; init; }

    public required int KeyValueHeads { get; init; }

    /// <summary>Queries of a head; of the longest sequence where they differ.</summary>
    public required int QueryLength { get; init; }

    /// <summary>Keys of a head; of the longest sequence where they differ.</summary>
    public required int KeyLength { get; init; }

    public required int HeadSize { get; init; }

    public required int ValueHeadSize { get; init; }

    public required float Scale { get; init; }

    public ElementType Element { get; init; }

    public required TensorLayout Query { get; init; }

    public required TensorLayout Key { get; init; }

    public required TensorLayout Value { get; init; }

    public required TensorLayout Output { get; init; }

    /// <summary>Every batch entry's lengths and positions; nothing where <see cref="HasSequences"/>.</summary>
    public required Sequence Sequence { get; init; }

    /// <summary>Whether each batch entry has a <see cref="Kernels.Common.Sequences.Sequence"/> of its own, in memory.</summary>
    public bool HasSequences { get; init; }

    public CausalKind Causal { get; init; }

    public WindowSize? Window { get; init; }

    /// <summary>What scores are bounded by before anything is added; 0 for nothing.</summary>
    public float Softcap { get; init; }

    /// <summary>Whether each head has a slope for a bias by distance.</summary>
    public bool HasAlibi { get; init; }

    /// <summary>The additive mask; null without one.</summary>
    public MaskLayout? Bias { get; init; }

    /// <summary>The boolean mask; null without one.</summary>
    public MaskLayout? Mask { get; init; }

    /// <summary>Whether queries and keys have document numbers: [batch, query length] and [batch, key length].</summary>
    public bool HasDocuments { get; init; }

    /// <summary>Whether there is a [batch, key length] mask whose bytes mark padding.</summary>
    public bool HasKeyPadding { get; init; }

    /// <summary>Whether each head has a logit without a value.</summary>
    public bool HasSinks { get; init; }

    /// <summary>Which scores are asked for; null for none.</summary>
    public ScoreStage? Scores { get; init; }

    /// <summary>Where the rows' logarithms of sums go, a row an element; null where nobody asks.</summary>
    public TensorLayout? LogSumExp { get; init; }

    /// <summary>Query heads that share a key/value head.</summary>
    public int GroupSize => Heads / KeyValueHeads;

    /// <summary>Elements of the scores of all heads.</summary>
    public long ScoreCount => (long)Batch * Heads * QueryLength * KeyLength;

    /// <summary>Whether the output has no element.</summary>
    public bool IsEmpty => Batch == 0 || QueryLength == 0;

    /// <summary>1 / sqrt(head size).</summary>
    public static float DefaultScale(int headSize) => (float)(1.0 / Math.Sqrt(headSize));
}
