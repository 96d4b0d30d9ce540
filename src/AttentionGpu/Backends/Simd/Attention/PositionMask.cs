using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Backends.Variants;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Hides the keys of a block of scores that lanes do not see by position, or by a tree. Only the vectors that a diagonal crosses, and the
/// keys of a tree, are touched.
/// </summary>
internal static unsafe class PositionMask<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    public static void Apply(AttentionContext context, in QueryBlock block, in KeyRange keys)
    {
        if (context.Signature.Causal != CausalKind.None)
        {
            long prefix = context.Signature.Causal == CausalKind.CausalWithPrefix ? (long)block.Sequence.PrefixLength - keys.First : 0;
            HideAfter(block, keys, (long)block.FirstQuery + block.Sequence.CausalOffset + 1 - keys.First, prefix);
        }

        if (context.Signature.HasWindow)
        {
            WindowSize window = context.Extent.Window;
            long position = (long)block.FirstQuery + block.Sequence.WindowOffset - keys.First;
            HideAfter(block, keys, position + window.Right + 1, 0);
            HideBefore(block, keys, position - window.Left);
        }

        if (!context.Signature.Has(ScoreVariants.Tree))
            return;
        for (int lane = keys.FirstLane; lane < block.Queries; lane++)
        {
            HideOtherBranches(
                context, block.Sequence, block.FirstQuery + lane, keys.First, keys.Count, block.Scores + lane, block.Lanes);
        }
    }

    /// <summary>
    /// Hides the keys of a tree that a query does not see. A score at a time: a tree is short beside the past.
    /// </summary>
    /// <param name="context">The call.</param>
    /// <param name="sequence">The sequence.</param>
    /// <param name="query">The query, counted from the sequence's first.</param>
    /// <param name="firstKey">The key of the first score.</param>
    /// <param name="count">How many scores there are.</param>
    /// <param name="scores">The first score.</param>
    /// <param name="stride">From one score to the next.</param>
    public static void HideOtherBranches(
        AttentionContext context, in Sequence sequence, int query, int firstKey, int count, float* scores, nint stride)
    {
        for (int i = Math.Max(0, sequence.KeyLength - sequence.QueryLength - firstKey); i < count; i++)
        {
            if (!TreeVariant.IsVisible(context.Extent, context.Buffers, sequence, query, firstKey + i))
                scores[i * stride] = float.NegativeInfinity;
        }
    }

    // Lane l sees key i of the range where i is less than end + l, or less than the prefix.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void HideAfter(in QueryBlock block, in KeyRange keys, long end, long prefix)
    {
        TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
        for (int i = (int)Math.Clamp(Math.Max(prefix, end + keys.FirstLane), 0, keys.Count); i < keys.Count; i++)
        {
            float* row = block.Scores + (nint)i * block.Lanes;
            for (int lane = keys.FirstLane; lane < block.Lanes && lane <= i - end; lane += TOperations.Width)
            {
                TOperations.Store(
                    TOperations.SelectLess(
                        TOperations.Indices, TOperations.Broadcast(i - end - lane + 1), hidden, TOperations.Load(row + lane)),
                    row + lane);
            }
        }
    }

    // Lane l sees key i of the range where i is at least first + l.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void HideBefore(in QueryBlock block, in KeyRange keys, long first)
    {
        TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
        int count = (int)Math.Clamp(first + block.Lanes, 0, keys.Count);
        for (int i = 0; i < count; i++)
        {
            float* row = block.Scores + (nint)i * block.Lanes;
            int start = (int)Math.Max(keys.FirstLane, i - first + 1) / TOperations.Width * TOperations.Width;
            for (int lane = start; lane < block.Lanes; lane += TOperations.Width)
            {
                TOperations.Store(
                    TOperations.SelectLess(
                        TOperations.Broadcast(i - first - lane), TOperations.Indices, hidden, TOperations.Load(row + lane)),
                    row + lane);
            }
        }
    }
}
