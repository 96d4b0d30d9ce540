using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Hides the keys of a block of scores that lanes do not see by position. Only the vectors that a diagonal crosses are touched.
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
