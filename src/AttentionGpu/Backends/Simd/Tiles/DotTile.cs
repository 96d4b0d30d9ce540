using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd.Stored;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>
/// Dot products of a few rows of floats with many stored rows, all as they lie in memory: for too few rows to fill the lanes of a panel.
/// The scale of a stored row is multiplied with the product; scales of groups, with the elements.
/// </summary>
internal static unsafe class DotTile<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int TileRows = 4;

    /// <summary><c>result[i * resultStride + j] = left[i] . right[j]</c>.</summary>
    /// <param name="left">The few rows, side by side.</param>
    /// <param name="leftRows">How many they are.</param>
    /// <param name="depth">Elements of a row.</param>
    /// <param name="right">The many rows.</param>
    /// <param name="scales">Their scales.</param>
    /// <param name="ahead">Rows that are read next: one is asked for with each.</param>
    /// <param name="result">[left rows, right rows].</param>
    /// <param name="resultStride">Floats from one of its rows to the next.</param>
    public static void Multiply<TStored>(
        float* left, int leftRows, int depth, in StoredRows right, in RowScales scales, in StoredRows ahead,
        float* result, nint resultStride)
        where TStored : struct, IStoredElements<TVector>
    {
        for (int i = 0; i < leftRows; i += TileRows)
        {
            int rows = Math.Min(TileRows, leftRows - i);
            if (rows == 1)
                MultiplyOne<TStored>(left, depth, right, scales, i == 0 ? ahead : default, result);
            else
                MultiplyFour<TStored>(left, rows, depth, right, scales, i == 0 ? ahead : default, result, resultStride);
            left += TileRows * depth;
            result += TileRows * resultStride;
        }
    }

    /// <summary>
    /// Two to four left rows and two right rows at a time. A vector of each costs 8 multiply-adds, 6 loads and 2 conversions, with
    /// 8 + 2 + 1 registers; then two sums of four across lanes. A left row that is not there repeats the last.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyFour<TStored>(
        float* left, int rows, int depth, in StoredRows right, in RowScales scales, in StoredRows ahead, float* result, nint resultStride)
        where TStored : struct, IStoredElements<TVector>
    {
        float* left1 = left + depth;
        float* left2 = left + Math.Min(2, rows - 1) * depth;
        float* left3 = left + (rows - 1) * depth;
        int count = right.Count;
        for (int j = 0; j < count; j += 2)
        {
            int second = Math.Min(j + 1, count - 1);
            ahead.Prefetch(j, 2);
            byte* right0 = right.First + j * right.Stride;
            byte* right1 = right.First + second * right.Stride;
            float* scale0 = scales.First + j * scales.RowStride;
            float* scale1 = scales.First + second * scales.RowStride;
            TVector a0 = TOperations.Zero, a1 = TOperations.Zero, a2 = TOperations.Zero, a3 = TOperations.Zero;
            TVector b0 = TOperations.Zero, b1 = TOperations.Zero, b2 = TOperations.Zero, b3 = TOperations.Zero;
            int step = 0;
            while (step + TOperations.Width <= depth)
            {
                // A group ends at a multiple of a vector.
                int end = depth - step > TStored.GroupSize ? step + TStored.GroupSize : depth;
                TVector factor0 = TOperations.Zero, factor1 = TOperations.Zero;
                if (TStored.GroupSize != int.MaxValue)
                {
                    factor0 = TOperations.Broadcast(scale0[step / TStored.GroupSize * scales.GroupStride]);
                    factor1 = TOperations.Broadcast(scale1[step / TStored.GroupSize * scales.GroupStride]);
                }

                for (; step + TOperations.Width <= end; step += TOperations.Width)
                {
                    TVector row0 = TStored.Load(right0, step);
                    TVector row1 = TStored.Load(right1, step);
                    if (TStored.GroupSize != int.MaxValue)
                    {
                        row0 = TOperations.Multiply(row0, factor0);
                        row1 = TOperations.Multiply(row1, factor1);
                    }

                    TVector query = TOperations.Load(left + step);
                    a0 = TOperations.MultiplyAdd(query, row0, a0);
                    b0 = TOperations.MultiplyAdd(query, row1, b0);
                    query = TOperations.Load(left1 + step);
                    a1 = TOperations.MultiplyAdd(query, row0, a1);
                    b1 = TOperations.MultiplyAdd(query, row1, b1);
                    query = TOperations.Load(left2 + step);
                    a2 = TOperations.MultiplyAdd(query, row0, a2);
                    b2 = TOperations.MultiplyAdd(query, row1, b2);
                    query = TOperations.Load(left3 + step);
                    a3 = TOperations.MultiplyAdd(query, row0, a3);
                    b3 = TOperations.MultiplyAdd(query, row1, b3);
                }
            }

            // Pairs of a left row's.
            Vector256<float> sums = TOperations.SumEach(a0, b0, a1, b1, a2, b2, a3, b3);
            for (; step < depth; step++)
            {
                float row0 = LoadOne<TStored>(right0, step, scale0, scales.GroupStride);
                float row1 = LoadOne<TStored>(right1, step, scale1, scales.GroupStride);
                (float query0, float query1, float query2, float query3) = (left[step], left1[step], left2[step], left3[step]);
                sums += Vector256.Create(query0, query0, query1, query1, query2, query2, query3, query3)
                    * Vector256.Create(row0, row1, row0, row1, row0, row1, row0, row1);
            }

            if (TStored.HasRowScale)
                sums *= Vector256.Create(*scale0, *scale1, *scale0, *scale1, *scale0, *scale1, *scale0, *scale1);
            if (second == j)
                WriteOne(sums, rows, result + j, resultStride);
            else
                WritePairs(sums.AsDouble(), rows, result + j, resultStride);
        }
    }

    /// <summary>
    /// One left row and four right rows at a time. A vector of each costs 4 multiply-adds, 5 loads and 4 conversions; then a sum of four
    /// across lanes.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyOne<TStored>(
        float* left, int depth, in StoredRows right, in RowScales scales, in StoredRows ahead, float* result)
        where TStored : struct, IStoredElements<TVector>
    {
        int count = right.Count;
        for (int j = 0; j < count; j += TileRows)
        {
            int rows = Math.Min(TileRows, count - j);
            ahead.Prefetch(j, TileRows);
            byte* right0 = right.First + j * right.Stride;
            byte* right1 = right0 + Math.Min(1, rows - 1) * right.Stride;
            byte* right2 = right0 + Math.Min(2, rows - 1) * right.Stride;
            byte* right3 = right0 + (rows - 1) * right.Stride;
            float* scale0 = scales.First + j * scales.RowStride;
            float* scale1 = scale0 + Math.Min(1, rows - 1) * scales.RowStride;
            float* scale2 = scale0 + Math.Min(2, rows - 1) * scales.RowStride;
            float* scale3 = scale0 + (rows - 1) * scales.RowStride;
            TVector sum0 = TOperations.Zero, sum1 = TOperations.Zero, sum2 = TOperations.Zero, sum3 = TOperations.Zero;
            int step = 0;
            while (step + TOperations.Width <= depth)
            {
                int first = step;
                int end = depth - step > TStored.GroupSize ? step + TStored.GroupSize : depth;
                TVector group0 = TOperations.Zero, group1 = TOperations.Zero, group2 = TOperations.Zero, group3 = TOperations.Zero;
                if (TStored.GroupSize == int.MaxValue)
                    (group0, group1, group2, group3) = (sum0, sum1, sum2, sum3);
                for (; step + TOperations.Width <= end; step += TOperations.Width)
                {
                    TVector query = TOperations.Load(left + step);
                    group0 = TOperations.MultiplyAdd(query, TStored.Load(right0, step), group0);
                    group1 = TOperations.MultiplyAdd(query, TStored.Load(right1, step), group1);
                    group2 = TOperations.MultiplyAdd(query, TStored.Load(right2, step), group2);
                    group3 = TOperations.MultiplyAdd(query, TStored.Load(right3, step), group3);
                }

                if (TStored.GroupSize == int.MaxValue)
                {
                    (sum0, sum1, sum2, sum3) = (group0, group1, group2, group3);
                    continue;
                }

                nint group = first / TStored.GroupSize * scales.GroupStride;
                sum0 = TOperations.MultiplyAdd(group0, TOperations.Broadcast(scale0[group]), sum0);
                sum1 = TOperations.MultiplyAdd(group1, TOperations.Broadcast(scale1[group]), sum1);
                sum2 = TOperations.MultiplyAdd(group2, TOperations.Broadcast(scale2[group]), sum2);
                sum3 = TOperations.MultiplyAdd(group3, TOperations.Broadcast(scale3[group]), sum3);
            }

            Vector128<float> sums = TOperations.SumEach(sum0, sum1, sum2, sum3);
            for (; step < depth; step++)
            {
                sums += left[step] * Vector128.Create(
                    LoadOne<TStored>(right0, step, scale0, scales.GroupStride), LoadOne<TStored>(right1, step, scale1, scales.GroupStride),
                    LoadOne<TStored>(right2, step, scale2, scales.GroupStride), LoadOne<TStored>(right3, step, scale3, scales.GroupStride));
            }

            if (TStored.HasRowScale)
                sums *= Vector128.Create(*scale0, *scale1, *scale2, *scale3);
            if (rows == TileRows)
                sums.Store(result + j);
            else
                new ReadOnlySpan<float>(&sums, rows).CopyTo(new Span<float>(result + j, rows));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float LoadOne<TStored>(byte* row, int element, float* scales, nint groupStride)
        where TStored : struct, IStoredElements<TVector> => TStored.GroupSize == int.MaxValue
            ? TStored.LoadOne(row, element)
            : TStored.LoadOne(row, element) * scales[element / TStored.GroupSize * groupStride];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WritePairs(Vector256<double> pairs, int rows, float* result, nint stride)
    {
        *(double*)result = pairs.ToScalar();
        *(double*)(result + stride) = pairs.GetLower()[1];
        if (rows > 2)
            *(double*)(result + 2 * stride) = pairs.GetUpper().ToScalar();
        if (rows > 3)
            *(double*)(result + 3 * stride) = pairs.GetUpper()[1];
    }

    private static void WriteOne(Vector256<float> sums, int rows, float* result, nint stride)
    {
        for (int row = 0; row < rows; row++)
            result[row * stride] = sums[2 * row];
    }
}
