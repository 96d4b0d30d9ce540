namespace AttentionGpu.Kernels.TensorCore.Attention;

/// <summary>Elements of 16 bits that tensor cores multiply.</summary>
public enum TensorElement
{
    /// <summary>IEEE 754 binary16.</summary>
    Float16,

    /// <summary>The upper half of a float32.</summary>
    BFloat16,
}

/// <summary>What a text of attention is made of. Everything else is an argument.</summary>
public sealed record AttentionForm
{
    /// <summary>The element type of queries, keys, values and outputs.</summary>
    public required TensorElement Element { get; init; }

    /// <summary>Elements of a query and of a key.</summary>
    public required int HeadSize { get; init; }

    /// <summary>Elements of a value and of an output row.</summary>
    public required int ValueHeadSize { get; init; }

    /// <summary>Whether a query sees the keys up to its own position only.</summary>
    public bool IsCausal { get; init; }

    /// <summary>Whether every query sees the keys of a prefix too.</summary>
    public bool HasPrefix { get; init; }

    /// <summary>Whether a query sees the keys near its own position only.</summary>
    public bool HasWindow { get; init; }

    /// <summary>Whether each head has a logit without a value.</summary>
    public bool HasSinks { get; init; }

    /// <summary>Whether each batch entry has a sequence of its own, in memory.</summary>
    public bool HasSequences { get; init; }

    /// <summary>Whether the rows' logarithms of sums are written.</summary>
    public bool HasLogSumExp { get; init; }

    /// <summary>Whether all rows start at multiples of 16 bytes, and row lengths are multiples of 8 elements.</summary>
    public required bool IsAligned { get; init; }

    /// <summary>
    /// Whether scores are multiplied by the scale before anything else. Where nothing changes scores and the scale is more than 0, the
    /// exponent takes it in.
    /// </summary>
    public bool ScalesScores { get; init; }

    /// <summary>Whether a group has 64 queries where it usually has 128, for calls that have no more.</summary>
    public bool IsShort { get; init; }
}
