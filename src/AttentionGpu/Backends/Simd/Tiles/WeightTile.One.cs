using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Stored;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <content>A single row of weights.</content>
internal static unsafe partial class WeightTile<TVector, TOperations>
{
    // One row of weights, which is multiplied by the scales of each group.
    private static void AddOne<TStored>(in Operands operands, in RowScales scales, int column, int pairs, float* room)
        where TStored : struct, IStoredElements<TVector>
    {
        if (TStored.GroupSize == int.MaxValue)
        {
            AddOne<TStored>(operands, operands.Weights, column, pairs);
            return;
        }

        int count = operands.Values.Count;
        for (int group = 0; group * TStored.GroupSize < pairs * Lanes; group++)
        {
            float* ofGroup = scales.First + (column / TStored.GroupSize + group) * scales.GroupStride;
            Scale(operands.Weights, 0, 1, count, ofGroup, scales.RowStride, room + group * count, 0);
        }

        AddOne<TStored>(operands, room, column, pairs);
    }

    /// <summary>
    /// One row of up to four pairs of vectors. A stored row costs 8 multiply-adds, 8 loads, 8 conversions and 1 broadcast, or one a group,
    /// with 8 + 2 registers. It is read from end to end: the processor's prefetching follows the one stream.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddOne<TStored>(in Operands operands, float* weights, int column, int pairs)
        where TStored : struct, IStoredElements<TVector>
    {
        byte* value = operands.Values.First;
        nint stride = operands.Values.Stride;
        int count = operands.Values.Count;
        int toSecond = GroupOf<TStored>(1) * count;
        int toThird = GroupOf<TStored>(2) * count;
        int toFourth = GroupOf<TStored>(3) * count;
        TVector a0 = TOperations.Zero, a1 = TOperations.Zero, a2 = TOperations.Zero, a3 = TOperations.Zero;
        TVector b0 = TOperations.Zero, b1 = TOperations.Zero, b2 = TOperations.Zero, b3 = TOperations.Zero;
        RowPrefetch next = column == 0 ? new RowPrefetch(operands.Ahead) : default;
        for (int j = 0; j < count; j++)
        {
            next.Next();
            TVector weight = TOperations.Broadcast(weights[j]);
            a0 = TOperations.MultiplyAdd(weight, TStored.Load(value, column), a0);
            b0 = TOperations.MultiplyAdd(weight, TStored.Load(value, column + TOperations.Width), b0);
            if (pairs > 1)
            {
                if (TStored.GroupSize != int.MaxValue)
                    weight = TOperations.Broadcast(weights[toSecond + j]);
                a1 = TOperations.MultiplyAdd(weight, TStored.Load(value, column + 2 * TOperations.Width), a1);
                b1 = TOperations.MultiplyAdd(weight, TStored.Load(value, column + 3 * TOperations.Width), b1);
            }

            if (pairs > 2)
            {
                if (TStored.GroupSize != int.MaxValue)
                    weight = TOperations.Broadcast(weights[toThird + j]);
                a2 = TOperations.MultiplyAdd(weight, TStored.Load(value, column + 4 * TOperations.Width), a2);
                b2 = TOperations.MultiplyAdd(weight, TStored.Load(value, column + 5 * TOperations.Width), b2);
            }

            if (pairs > 3)
            {
                if (TStored.GroupSize != int.MaxValue)
                    weight = TOperations.Broadcast(weights[toFourth + j]);
                a3 = TOperations.MultiplyAdd(weight, TStored.Load(value, column + 6 * TOperations.Width), a3);
                b3 = TOperations.MultiplyAdd(weight, TStored.Load(value, column + 7 * TOperations.Width), b3);
            }

            value += stride;
        }

        float* sums = operands.Sums + column;
        Take(sums, pairs, a0, b0, a1, b1, a2, b2, a3, b3);
    }

    // The group of a pair of vectors, from the first pair's on.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int GroupOf<TStored>(int pair)
        where TStored : struct, IStoredElements<TVector> =>
        TStored.GroupSize == int.MaxValue ? 0 : pair * Lanes / TStored.GroupSize;
}
