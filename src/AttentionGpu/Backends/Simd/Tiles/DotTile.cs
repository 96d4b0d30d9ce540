using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>Dot products of a few rows with many, all as they lie in memory: for too few rows to fill the lanes of a panel.</summary>
internal static unsafe class DotTile<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int LeftRows = 4;

    /// <summary><c>result[i * resultStride + j] = left[i] . right[j]</c>.</summary>
    /// <remarks>
    /// The right rows are the many, and are read from end to end, as the processor's prefetching likes it. A vector of one costs 4
    /// multiply-adds and 5 loads, with 4 + 1 registers; then one sum of four across lanes. A left row that is not there repeats the last.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(
        int leftRows, int rightRows, int depth, float* left, nint leftStride, float* right, nint rightStride,
        float* result, nint resultStride)
    {
        for (int j = 0; j < rightRows; j++)
        {
            for (int i = 0; i < leftRows; i += LeftRows)
            {
                float* left0 = left + i * leftStride;
                float* left1 = left + Math.Min(i + 1, leftRows - 1) * leftStride;
                float* left2 = left + Math.Min(i + 2, leftRows - 1) * leftStride;
                float* left3 = left + Math.Min(i + 3, leftRows - 1) * leftStride;
                TVector sum0 = TOperations.Zero, sum1 = TOperations.Zero, sum2 = TOperations.Zero, sum3 = TOperations.Zero;
                int step = 0;
                for (; step + TOperations.Width <= depth; step += TOperations.Width)
                {
                    TVector row = TOperations.Load(right + step);
                    sum0 = TOperations.MultiplyAdd(TOperations.Load(left0 + step), row, sum0);
                    sum1 = TOperations.MultiplyAdd(TOperations.Load(left1 + step), row, sum1);
                    sum2 = TOperations.MultiplyAdd(TOperations.Load(left2 + step), row, sum2);
                    sum3 = TOperations.MultiplyAdd(TOperations.Load(left3 + step), row, sum3);
                }

                Vector128<float> sums = TOperations.SumEach(sum0, sum1, sum2, sum3);
                for (; step < depth; step++)
                    sums += Vector128.Create(left0[step], left1[step], left2[step], left3[step]) * right[step];
                Write(sums, Math.Min(LeftRows, leftRows - i), result + i * resultStride, resultStride);
            }

            right += rightStride;
            result++;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write(Vector128<float> sums, int count, float* result, nint stride)
    {
        result[0] = sums[0];
        if (count > 1)
            result[stride] = sums[1];
        if (count > 2)
            result[2 * stride] = sums[2];
        if (count > 3)
            result[3 * stride] = sums[3];
    }
}
