using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>
/// A float per query head and distance <c>key position - query position</c>, added to the score; distances beyond the reach count as the
/// reach: T5's relative bias, Raffel and others (2020).
/// </summary>
public struct DistanceBias : IScoreVariant
{
    /// <summary>[heads, 2 x reach + 1].</summary>
    public ArrayView<float> Data;

    /// <summary>The largest distance with a value of its own.</summary>
    public int Reach;

    /// <inheritdoc/>
    public static bool IsIdentity => false;

    /// <inheritdoc/>
    public static bool ScansBlocks => false;

    /// <inheritdoc/>
    public readonly bool IsVisible(SequenceHead head, int query, int key) => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, SequenceHead head, int query, int key)
    {
        int distance = key - (query + head.Sequence.DistanceOffset);
        int clamped = IntrinsicMath.Max(-Reach, IntrinsicMath.Min(distance, Reach));
        return score + Data[(long)head.Head * (2 * Reach + 1) + Reach + clamped];
    }
}
