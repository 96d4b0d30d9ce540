using AttentionGpu.Elements;
using AttentionGpu.KeyValues;

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

/// <summary>
/// What an attention computation is made of: the key of its plan. Nothing in it changes from one decode step to the next. A specialised kernel
/// fits a signature when the signature equals itself stripped to what the kernel knows, so that a new member is never ignored.
/// </summary>
internal readonly record struct AttentionSignature : ISignature<AttentionExtent, AttentionBuffers>
{
    // 0 for none, else the stage plus 1: a nullable enumeration would be boxed wherever signatures are compared.
    private readonly int _scores;

    /// <summary>How queries, outputs and scores are stored.</summary>
    public required ElementType Element { get; init; }

    /// <summary>How keys and values are stored.</summary>
    public required KeyValueForm KeyValue { get; init; }

    /// <summary>Elements of a query and of a key.</summary>
    public required int HeadSize { get; init; }

    /// <summary>Elements of a value and of an output row.</summary>
    public required int ValueHeadSize { get; init; }

    /// <summary>Query heads that share a key/value head.</summary>
    public required int GroupSize { get; init; }

    public CausalKind Causal { get; init; }

    public bool HasWindow { get; init; }

    /// <summary>Whether scores are bounded before anything is added.</summary>
    public bool HasSoftcap { get; init; }

    /// <summary>Whether each head has a slope for a bias by distance.</summary>
    public bool HasAlibi { get; init; }

    /// <summary>Whether there is an additive mask.</summary>
    public bool HasBias { get; init; }

    /// <summary>Whether there is a boolean mask.</summary>
    public bool HasMask { get; init; }

    /// <summary>Whether queries and keys have document numbers: [batch, query length] and [batch, key length].</summary>
    public bool HasDocuments { get; init; }

    /// <summary>Whether there is a [batch, key length] mask whose bytes mark padding.</summary>
    public bool HasKeyPadding { get; init; }

    /// <summary>Whether each head has a logit without a value.</summary>
    public bool HasSinks { get; init; }

    /// <summary>Whether each batch entry has a sequence of its own, in memory.</summary>
    public bool HasSequences { get; init; }

    /// <summary>Whether the rows' logarithms of sums are asked for.</summary>
    public bool HasLogSumExp { get; init; }

    /// <summary>Which scores are asked for; null for none.</summary>
    public ScoreStage? Scores
    {
        get => _scores == 0 ? null : (ScoreStage)(_scores - 1);
        init => _scores = value is { } stage ? (int)stage + 1 : 0;
    }
}
