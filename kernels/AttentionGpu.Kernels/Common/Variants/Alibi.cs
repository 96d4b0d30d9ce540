using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>
/// <c>score - slope * |query position - key position|</c>, with a slope per query head, or per batch entry and query head: ALiBi, Press and
/// others (2022).
/// </summary>
public struct Alibi : IScoreVariant
{
    /// <summary>One slope a query head: [heads], or [batch, heads].</summary>
    public ArrayView<float> Slopes;

    /// <summary>Slopes from one batch entry to the next; 0 where all have the same.</summary>
    public int BatchStride;

    /// <inheritdoc/>
    public static bool IsIdentity => false;

    /// <inheritdoc/>
    public static bool ScansBlocks => false;

    /// <inheritdoc/>
    public readonly bool IsVisible(SequenceHead head, int query, int key) => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, SequenceHead head, int query, int key) =>
        score - Slopes[head.Batch * BatchStride + head.Head] * IntrinsicMath.Abs(query + head.Sequence.DistanceOffset - key);
}
