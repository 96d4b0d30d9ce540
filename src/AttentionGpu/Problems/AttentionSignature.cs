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
/// What an attention computation is made of: the key of its plan. Nothing in it changes from one decode step to the next. A specialised
/// kernel
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

    /// <summary>The changes of scores.</summary>
    public ScoreVariants Variants { get; init; }

    /// <summary>Whether each head has a logit without a value.</summary>
    public bool HasSinks { get; init; }

    /// <summary>Whether each batch entry has a sequence of its own, in memory.</summary>
    public bool HasSequences { get; init; }

    /// <summary>Whether the rows' logarithms of sums are asked for.</summary>
    public bool HasLogSumExp { get; init; }

    /// <summary>Whether a sequence's results may depend on its own lengths only, and never on the rest of the call.</summary>
    public bool BatchInvariant { get; init; }

    /// <summary>Which scores are asked for; null for none.</summary>
    public ScoreStage? Scores
    {
        get => _scores == 0 ? null : (ScoreStage)(_scores - 1);
        init => _scores = value is { } stage ? (int)stage + 1 : 0;
    }

    /// <summary>Whether scores are changed in a way.</summary>
    public bool Has(ScoreVariants variant) => (Variants & variant) != 0;
}
