using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>One variant after another; a key is visible where both show it. Pairs nest.</summary>
public struct VariantPair<TFirst, TSecond> : IScoreVariant
    where TFirst : struct, IScoreVariant
    where TSecond : struct, IScoreVariant
{
    /// <summary>The variant that changes the score first.</summary>
    public TFirst First;

    /// <summary>The variant that gets what the first has left.</summary>
    public TSecond Second;

    /// <inheritdoc/>
    public static bool IsIdentity => TFirst.IsIdentity && TSecond.IsIdentity;

    /// <inheritdoc/>
    public static bool ScansBlocks => TFirst.ScansBlocks || TSecond.ScansBlocks;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsVisible(SequenceHead head, int query, int key) =>
        First.IsVisible(head, query, key) && Second.IsVisible(head, query, key);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, SequenceHead head, int query, int key) =>
        Second.Apply(First.Apply(score, head, query, key), head, query, key);
}
