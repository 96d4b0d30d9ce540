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
        byte* first = right.First;
        nint stride = right.Stride;
        float* firstScale = scales.First;
        nint scaleStride = scales.RowStride;
        nint groupStride = scales.GroupStride;
        var next = new RowPrefetch(ahead);
        for (int j = 0; j < count; j += 2)
        {
            int second = Math.Min(j + 1, count - 1);
            next.Next();
            next.Next();
            byte* right0 = first + j * stride;
            byte* right1 = first + second * stride;
            float* scale0 = firstScale + j * scaleStride;
            float* scale1 = firstScale + second * scaleStride;
            TVector a0 = TOperations.Zero, a1 = TOperations.Zero, a2 = TOperations.Zero, a3 = TOperations.Zero;
            TVector b0 = TOperations.Zero, b1 = TOperations.Zero, b2 = TOperations.Zero, b3 = TOperations.Zero;
            int step = 0;
            TVector factor0 = TOperations.Zero, factor1 = TOperations.Zero;
            for (; step + TOperations.Width <= depth; step += TOperations.Width)
            {
                TVector row0 = TStored.Load(right0, step);
                TVector row1 = TStored.Load(right1, step);
                if (TStored.GroupSize != int.MaxValue)
                {
                    // A group ends at a multiple of a vector.
                    if (step % TStored.GroupSize == 0)
                    {
                        factor0 = TOperations.Broadcast(scale0[step / TStored.GroupSize * groupStride]);
                        factor1 = TOperations.Broadcast(scale1[step / TStored.GroupSize * groupStride]);
                    }

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

            // Pairs of a left row's.
            Vector256<float> sums = TOperations.SumEach(a0, b0, a1, b1, a2, b2, a3, b3);
            for (; step < depth; step++)
            {
                float row0 = LoadOne<TStored>(right0, step, scale0, groupStride);
                float row1 = LoadOne<TStored>(right1, step, scale1, groupStride);
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
    /// One left row, whose products with four right rows are summed across lanes together. Right rows are read one after another: the
    /// processor's prefetching follows the one stream. A vector costs 1 multiply-add, 2 loads and 1 conversion.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyOne<TStored>(
        float* left, int depth, in StoredRows right, in RowScales scales, in StoredRows ahead, float* result)
        where TStored : struct, IStoredElements<TVector>
    {
        int count = right.Count;
        byte* first = right.First;
        nint stride = right.Stride;
        float* firstScale = scales.First;
        nint scaleStride = scales.RowStride;
        nint groupStride = scales.GroupStride;
        var next = new RowPrefetch(ahead);
        int whole = depth / TOperations.Width * TOperations.Width;
        for (int j = 0; j < count; j += TileRows)
        {
            int rows = Math.Min(TileRows, count - j);
            byte* right0 = first + j * stride;
            byte* right1 = right0 + Math.Min(1, rows - 1) * stride;
            byte* right2 = right0 + Math.Min(2, rows - 1) * stride;
            byte* right3 = right0 + (rows - 1) * stride;
            float* scale0 = firstScale + j * scaleStride;
            float* scale1 = scale0 + Math.Min(1, rows - 1) * scaleStride;
            float* scale2 = scale0 + Math.Min(2, rows - 1) * scaleStride;
            float* scale3 = scale0 + (rows - 1) * scaleStride;
            next.Next();
            TVector sum0 = Dot<TStored>(left, whole, right0, scale0, groupStride);
            next.Next();
            TVector sum1 = Dot<TStored>(left, whole, right1, scale1, groupStride);
            next.Next();
            TVector sum2 = Dot<TStored>(left, whole, right2, scale2, groupStride);
            next.Next();
            TVector sum3 = Dot<TStored>(left, whole, right3, scale3, groupStride);
            Vector128<float> sums = TOperations.SumEach(sum0, sum1, sum2, sum3);
            for (int step = whole; step < depth; step++)
            {
                sums += left[step] * Vector128.Create(
                    LoadOne<TStored>(right0, step, scale0, groupStride), LoadOne<TStored>(right1, step, scale1, groupStride),
                    LoadOne<TStored>(right2, step, scale2, groupStride), LoadOne<TStored>(right3, step, scale3, groupStride));
            }

            if (TStored.HasRowScale)
                sums *= Vector128.Create(*scale0, *scale1, *scale2, *scale3);
            if (rows == TileRows)
                sums.Store(result + j);
            else
                new ReadOnlySpan<float>(&sums, rows).CopyTo(new Span<float>(result + j, rows));
        }
    }

    // The lanes' sums of products; those of groups with their scales. Two chains of multiply-adds.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Dot<TStored>(float* left, int depth, byte* right, float* scales, nint groupStride)
        where TStored : struct, IStoredElements<TVector>
    {
        TVector even = TOperations.Zero, odd = TOperations.Zero;
        int step = 0;
        if (TStored.GroupSize == int.MaxValue)
        {
            for (; step + 2 * TOperations.Width <= depth; step += 2 * TOperations.Width)
            {
                even = TOperations.MultiplyAdd(TOperations.Load(left + step), TStored.Load(right, step), even);
                odd = TOperations.MultiplyAdd(
                    TOperations.Load(left + step + TOperations.Width), TStored.Load(right, step + TOperations.Width), odd);
            }

            if (step < depth)
                even = TOperations.MultiplyAdd(TOperations.Load(left + step), TStored.Load(right, step), even);
            return TOperations.Add(even, odd);
        }

        while (step < depth)
        {
            TVector group = TOperations.Zero;
            for (int end = Math.Min(depth, step + TStored.GroupSize); step < end; step += TOperations.Width)
                group = TOperations.MultiplyAdd(TOperations.Load(left + step), TStored.Load(right, step), group);
            even = TOperations.MultiplyAdd(group, TOperations.Broadcast(*scales), even);
            scales += groupStride;
        }

        return even;
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
