using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Fragments;
using AttentionGpu.Kernels.Masks;
using AttentionGpu.Kernels.Tiles;

namespace AttentionGpu.Kernels.Attention;

/// <summary>Applies a mask to a thread's scores. Only blocks that a mask or the end of the keys touches come here.</summary>
public struct ScoreMasking<TTile, TMask>
    where TTile : struct, ITile
    where TMask : struct, IAttentionMask
{
    /// <summary>The mask.</summary>
    public TMask Mask;

    /// <summary>The thread's place.</summary>
    public ThreadPosition<TTile> Thread;

    /// <summary>The batch entry.</summary>
    public int Batch;

    /// <summary>The query head.</summary>
    public int Head;

    /// <summary>The block's first query.</summary>
    public int FirstQuery;

    /// <summary>Queries of a head.</summary>
    public int QueryLength;

    /// <summary>Keys of a head.</summary>
    public int KeyLength;

    /// <summary>Masks eight rows of four scores.</summary>
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
        return new Float4(
            One(scores.X, query, key), One(scores.Y, query, key + 1), One(scores.Z, query, key + 2), One(scores.W, query, key + 3));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float One(float score, int query, int key) =>
        query < QueryLength && key < KeyLength ? Mask.Apply(score, Batch, Head, query, key) : float.NegativeInfinity;
}
