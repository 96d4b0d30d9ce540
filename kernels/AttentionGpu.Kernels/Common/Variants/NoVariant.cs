using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>Scores stay as they are.</summary>
public struct NoVariant : IScoreVariant
{
    /// <inheritdoc/>
    public static bool IsIdentity => true;

    /// <inheritdoc/>
    public static bool ScansBlocks => false;

    /// <inheritdoc/>
    public readonly bool IsVisible(SequenceHead head, int query, int key) => true;

    /// <inheritdoc/>
    public readonly float Apply(float score, SequenceHead head, int query, int key) => score;
}
