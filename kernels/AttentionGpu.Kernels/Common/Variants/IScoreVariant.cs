using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>
/// What changes scores, or hides keys, by more than position. A variant is a small struct that the kernels are generic over, so that what a
/// problem does not use is not in the compiled loop. Indices are inside the sequence.
/// </summary>
public interface IScoreVariant
{
    /// <summary>Whether it leaves every score as it is.</summary>
    static abstract bool IsIdentity { get; }

    /// <summary>
    /// Whether whole blocks can turn out hidden only by looking at the variant's data. The attention kernel then looks before it computes.
    /// </summary>
    static abstract bool ScansBlocks { get; }

    /// <summary>Whether the query sees the key.</summary>
    bool IsVisible(SequenceHead head, int query, int key);

    /// <summary>The score as the variant leaves it: -inf where the key is hidden.</summary>
    float Apply(float score, SequenceHead head, int query, int key);
}
