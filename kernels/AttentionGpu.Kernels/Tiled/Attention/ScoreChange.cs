using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Tiles;

namespace AttentionGpu.Kernels.Tiled.Attention;

/// <summary>
/// Applies a range of keys and a variant to a thread's scores. Only blocks that a variant or an end of a range touches come here.
/// </summary>
public struct ScoreChange<TTile, TRange, TVariant>
    where TTile : struct, ITile
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    /// <summary>The keys that a query can see.</summary>
    public TRange Range;

    /// <summary>What else becomes of a score.</summary>
    public TVariant Variant;

    /// <summary>The thread's place.</summary>
    public ThreadPosition<TTile> Thread;

    /// <summary>The head that the scores are of.</summary>
    public SequenceHead Head;

    /// <summary>The block's first query.</summary>
    public int FirstQuery;

    /// <summary>Changes eight rows of four scores.</summary>
    /// <param name="scores">The thread's scaled scores.</param>
    /// <param name="key">The key of the first column.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Apply(ref Fragment8x4 scores, int key)
    {
        scores.R0 = Row(scores.R0, 0, key);
        scores.R1 = Row(scores.R1, 1, key);
        scores.R2 = Row(scores.R2, 2, key);
        scores.R3 = Row(scores.R3, 3, key);
        scores.R4 = Row(scores.R4, 4, key);
        scores.R5 = Row(scores.R5, 5, key);
        scores.R6 = Row(scores.R6, 6, key);
        scores.R7 = Row(scores.R7, 7, key);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly Float4 Row(Float4 scores, int row, int key)
    {
        int query = FirstQuery + Thread.TileRow(row);
        int first = Range.FirstKey(Head.Sequence, query);
        int end = query < Head.Sequence.QueryLength ? Range.EndKey(Head.Sequence, query) : 0;
        return new Float4(
            One(scores.X, query, key, first, end), One(scores.Y, query, key + 1, first, end),
            One(scores.Z, query, key + 2, first, end), One(scores.W, query, key + 3, first, end));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float One(float score, int query, int key, int first, int end) =>
        key >= first && key < end ? Variant.Apply(score, Head, query, key) : float.NegativeInfinity;
}
