using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Attention;

/// <summary>
/// Finds out whether any query of a block sees any key of a block, for variants that only their data can tell: one read of the data and one
/// barrier a block, in place of the two products of a block that is hidden.
/// </summary>
public static class BlockScan
{
    /// <summary>
    /// Flags in shared memory: one is written and read in this round, one is being cleared for the next, and one may still be read by
    /// threads that are late in the round before. One more makes them a power of two.
    /// </summary>
    public const int Flags = 4;

    /// <summary>Clears the flag of round 0. A barrier must follow before the first scan.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Start(ArrayView<int> flags)
    {
        if (Group.IdxX == 0)
            flags[0] = 0;
    }

    /// <summary>Whether anything of the block is visible; the same answer in all threads of the group.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AnyVisible<TTile, TRange, TVariant>(
        ArrayView<int> flags, int round, ScoreChange<TTile, TRange, TVariant> change, int firstKey, int tileKeys)
        where TTile : struct, ITile
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        bool visible = false;
        for (int i = Group.IdxX; i < ThreadPosition<TTile>.TileRows * tileKeys; i += ThreadPosition<TTile>.Threads)
        {
            int query = change.FirstQuery + i / tileKeys;
            int key = firstKey + (i & (tileKeys - 1));
            if (query < change.Head.Sequence.QueryLength
                && key >= change.Range.FirstKey(change.Head.Sequence, query)
                && key < change.Range.EndKey(change.Head.Sequence, query)
                && change.Variant.IsVisible(change.Head, query, key))
            {
                visible = true;
            }
        }

        if (visible)
            flags[round & (Flags - 1)] = 1;
        if (Group.IdxX == 0)
            flags[(round + 1) & (Flags - 1)] = 0;
        Group.Barrier();
        return flags[round & (Flags - 1)] != 0;
    }
}
