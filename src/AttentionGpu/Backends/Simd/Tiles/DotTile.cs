using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>Dot products of a few rows with many, all as they lie in memory: for too few rows to fill the lanes of a panel.</summary>
internal static unsafe class DotTile<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int LeftRows = 2;
    private const int RightRows = 4;

    /// <summary><c>result[i * resultStride + j] = left[i] . right[j]</c>.</summary>
    public static void Multiply(
        int leftRows, int rightRows, int depth, float* left, nint leftStride, float* right, nint rightStride, float* result, nint resultStride)
    {
        // The right rows are the many: four of them stay in L1 for all left rows.
        for (int j = 0; j < rightRows; j += RightRows)
        {
            for (int i = 0; i < leftRows; i += LeftRows)
            {
                Tile(
                    Math.Min(LeftRows, leftRows - i), Math.Min(RightRows, rightRows - j), depth,
                    left + i * leftStride, leftStride, right + j * rightStride, rightStride, result + i * resultStride + j, resultStride);
            }
        }
    }

    /// <summary>
    /// Two by four rows. A vector of each costs 8 multiply-adds and 6 loads, with 8 + 2 + 1 registers; then 8 sums across lanes.
    /// A row that is not there repeats the last.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile(
        int leftRows, int rightRows, int depth, float* left, nint leftStride, float* right, nint rightStride, float* result, nint resultStride)
    {
        float* left1 = left + (leftRows - 1) * leftStride;
        float* right1 = right + Math.Min(1, rightRows - 1) * rightStride;
        float* right2 = right + Math.Min(2, rightRows - 1) * rightStride;
        float* right3 = right + (rightRows - 1) * rightStride;
        TVector sum00 = TOperations.Zero, sum01 = TOperations.Zero, sum02 = TOperations.Zero, sum03 = TOperations.Zero;
        TVector sum10 = TOperations.Zero, sum11 = TOperations.Zero, sum12 = TOperations.Zero, sum13 = TOperations.Zero;
        int i = 0;
        for (; i + TOperations.Width <= depth; i += TOperations.Width)
        {
            TVector row0 = TOperations.Load(left + i);
            TVector row1 = TOperations.Load(left1 + i);
            TVector other = TOperations.Load(right + i);
            sum00 = TOperations.MultiplyAdd(row0, other, sum00);
            sum10 = TOperations.MultiplyAdd(row1, other, sum10);
            other = TOperations.Load(right1 + i);
            sum01 = TOperations.MultiplyAdd(row0, other, sum01);
            sum11 = TOperations.MultiplyAdd(row1, other, sum11);
            other = TOperations.Load(right2 + i);
            sum02 = TOperations.MultiplyAdd(row0, other, sum02);
            sum12 = TOperations.MultiplyAdd(row1, other, sum12);
            other = TOperations.Load(right3 + i);
            sum03 = TOperations.MultiplyAdd(row0, other, sum03);
            sum13 = TOperations.MultiplyAdd(row1, other, sum13);
        }

        Write(sum00, sum01, sum02, sum03, rightRows, result);
        if (leftRows > 1)
            Write(sum10, sum11, sum12, sum13, rightRows, result + resultStride);
        for (; i < depth; i++)
        {
            for (int row = 0; row < leftRows; row++)
            {
                for (int other = 0; other < rightRows; other++)
                    result[row * resultStride + other] += left[row * leftStride + i] * right[other * rightStride + i];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write(TVector sum0, TVector sum1, TVector sum2, TVector sum3, int count, float* result)
    {
        result[0] = TOperations.Sum(sum0);
        if (count > 1)
            result[1] = TOperations.Sum(sum1);
        if (count > 2)
            result[2] = TOperations.Sum(sum2);
        if (count > 3)
            result[3] = TOperations.Sum(sum3);
    }
}
