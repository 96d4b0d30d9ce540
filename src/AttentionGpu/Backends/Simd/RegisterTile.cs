using System.Runtime.CompilerServices;

namespace AttentionGpu.Backends.Simd;

/// <summary>
/// The inner product of everything on the host: up to six rows of a left operand, whose elements are broadcast, by a panel of two or four
/// vectors. The lanes are queries (or rows of a layer's input), so softmax needs no work across lanes.
/// </summary>
internal static unsafe class RegisterTile<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    /// <summary>Rows of a tile.</summary>
    public const int Rows = 6;

    /// <summary>Lanes of a panel.</summary>
    public static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TOperations.TileVectors * TOperations.Width;
    }

    /// <summary>
    /// <c>result[r][lane] = factors[lane] * result[r][lane] + sum over steps of left[r * rowStride + step * depthStride] * right[step][lane]</c>;
    /// without the first term where <paramref name="factors"/> is null.
    /// </summary>
    /// <remarks>
    /// A step with 512 bits: 24 multiply-adds, 4 loads and 6 broadcasts, 24 + 4 + 1 of 32 registers. With 256 or 128 bits: 12, 2 and 6, 15 of 16.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(
        int depth, float* left, nint rowStride, nint depthStride, int rows, float* right, float* result, nint resultStride, float* factors)
    {
        if (TOperations.TileVectors == 4)
            Run4(depth, left, rowStride, depthStride, rows, right, result, resultStride, factors);
        else
            Run2(depth, left, rowStride, depthStride, rows, right, result, resultStride, factors);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run4(
        int depth, float* left, nint rowStride, nint depthStride, int rows, float* right, float* result, nint resultStride, float* factors)
    {
        nint row1 = Math.Min(1, rows - 1) * rowStride;
        nint row2 = Math.Min(2, rows - 1) * rowStride;
        nint row3 = Math.Min(3, rows - 1) * rowStride;
        nint row4 = Math.Min(4, rows - 1) * rowStride;
        nint row5 = Math.Min(5, rows - 1) * rowStride;
        TVector s00 = TOperations.Zero, s01 = TOperations.Zero, s02 = TOperations.Zero, s03 = TOperations.Zero;
        TVector s10 = TOperations.Zero, s11 = TOperations.Zero, s12 = TOperations.Zero, s13 = TOperations.Zero;
        TVector s20 = TOperations.Zero, s21 = TOperations.Zero, s22 = TOperations.Zero, s23 = TOperations.Zero;
        TVector s30 = TOperations.Zero, s31 = TOperations.Zero, s32 = TOperations.Zero, s33 = TOperations.Zero;
        TVector s40 = TOperations.Zero, s41 = TOperations.Zero, s42 = TOperations.Zero, s43 = TOperations.Zero;
        TVector s50 = TOperations.Zero, s51 = TOperations.Zero, s52 = TOperations.Zero, s53 = TOperations.Zero;
        for (int step = 0; step < depth; step++)
        {
            TVector right0 = TOperations.Load(right), right1 = TOperations.Load(right + 1 * TOperations.Width), right2 = TOperations.Load(right + 2 * TOperations.Width), right3 = TOperations.Load(right + 3 * TOperations.Width);
            TVector value;
            value = TOperations.Broadcast(left[0]);
            s00 = TOperations.MultiplyAdd(value, right0, s00);
            s01 = TOperations.MultiplyAdd(value, right1, s01);
            s02 = TOperations.MultiplyAdd(value, right2, s02);
            s03 = TOperations.MultiplyAdd(value, right3, s03);
            value = TOperations.Broadcast(left[row1]);
            s10 = TOperations.MultiplyAdd(value, right0, s10);
            s11 = TOperations.MultiplyAdd(value, right1, s11);
            s12 = TOperations.MultiplyAdd(value, right2, s12);
            s13 = TOperations.MultiplyAdd(value, right3, s13);
            value = TOperations.Broadcast(left[row2]);
            s20 = TOperations.MultiplyAdd(value, right0, s20);
            s21 = TOperations.MultiplyAdd(value, right1, s21);
            s22 = TOperations.MultiplyAdd(value, right2, s22);
            s23 = TOperations.MultiplyAdd(value, right3, s23);
            value = TOperations.Broadcast(left[row3]);
            s30 = TOperations.MultiplyAdd(value, right0, s30);
            s31 = TOperations.MultiplyAdd(value, right1, s31);
            s32 = TOperations.MultiplyAdd(value, right2, s32);
            s33 = TOperations.MultiplyAdd(value, right3, s33);
            value = TOperations.Broadcast(left[row4]);
            s40 = TOperations.MultiplyAdd(value, right0, s40);
            s41 = TOperations.MultiplyAdd(value, right1, s41);
            s42 = TOperations.MultiplyAdd(value, right2, s42);
            s43 = TOperations.MultiplyAdd(value, right3, s43);
            value = TOperations.Broadcast(left[row5]);
            s50 = TOperations.MultiplyAdd(value, right0, s50);
            s51 = TOperations.MultiplyAdd(value, right1, s51);
            s52 = TOperations.MultiplyAdd(value, right2, s52);
            s53 = TOperations.MultiplyAdd(value, right3, s53);
            left += depthStride;
            right += 4 * TOperations.Width;
        }

        Store4(result, factors, s00, s01, s02, s03);
        if (rows == 1)
            return;
        Store4(result + 1 * resultStride, factors, s10, s11, s12, s13);
        if (rows == 2)
            return;
        Store4(result + 2 * resultStride, factors, s20, s21, s22, s23);
        if (rows == 3)
            return;
        Store4(result + 3 * resultStride, factors, s30, s31, s32, s33);
        if (rows == 4)
            return;
        Store4(result + 4 * resultStride, factors, s40, s41, s42, s43);
        if (rows == 5)
            return;
        Store4(result + 5 * resultStride, factors, s50, s51, s52, s53);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store4(float* result, float* factors, TVector value0, TVector value1, TVector value2, TVector value3)
    {
        if (factors != null)
        {
            value0 = TOperations.MultiplyAdd(TOperations.Load(result), TOperations.Load(factors), value0);
            value1 = TOperations.MultiplyAdd(TOperations.Load(result + 1 * TOperations.Width), TOperations.Load(factors + 1 * TOperations.Width), value1);
            value2 = TOperations.MultiplyAdd(TOperations.Load(result + 2 * TOperations.Width), TOperations.Load(factors + 2 * TOperations.Width), value2);
            value3 = TOperations.MultiplyAdd(TOperations.Load(result + 3 * TOperations.Width), TOperations.Load(factors + 3 * TOperations.Width), value3);
        }

        TOperations.Store(value0, result);
        TOperations.Store(value1, result + 1 * TOperations.Width);
        TOperations.Store(value2, result + 2 * TOperations.Width);
        TOperations.Store(value3, result + 3 * TOperations.Width);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run2(
        int depth, float* left, nint rowStride, nint depthStride, int rows, float* right, float* result, nint resultStride, float* factors)
    {
        nint row1 = Math.Min(1, rows - 1) * rowStride;
        nint row2 = Math.Min(2, rows - 1) * rowStride;
        nint row3 = Math.Min(3, rows - 1) * rowStride;
        nint row4 = Math.Min(4, rows - 1) * rowStride;
        nint row5 = Math.Min(5, rows - 1) * rowStride;
        TVector s00 = TOperations.Zero, s01 = TOperations.Zero;
        TVector s10 = TOperations.Zero, s11 = TOperations.Zero;
        TVector s20 = TOperations.Zero, s21 = TOperations.Zero;
        TVector s30 = TOperations.Zero, s31 = TOperations.Zero;
        TVector s40 = TOperations.Zero, s41 = TOperations.Zero;
        TVector s50 = TOperations.Zero, s51 = TOperations.Zero;
        for (int step = 0; step < depth; step++)
        {
            TVector right0 = TOperations.Load(right), right1 = TOperations.Load(right + 1 * TOperations.Width);
            TVector value;
            value = TOperations.Broadcast(left[0]);
            s00 = TOperations.MultiplyAdd(value, right0, s00);
            s01 = TOperations.MultiplyAdd(value, right1, s01);
            value = TOperations.Broadcast(left[row1]);
            s10 = TOperations.MultiplyAdd(value, right0, s10);
            s11 = TOperations.MultiplyAdd(value, right1, s11);
            value = TOperations.Broadcast(left[row2]);
            s20 = TOperations.MultiplyAdd(value, right0, s20);
            s21 = TOperations.MultiplyAdd(value, right1, s21);
            value = TOperations.Broadcast(left[row3]);
            s30 = TOperations.MultiplyAdd(value, right0, s30);
            s31 = TOperations.MultiplyAdd(value, right1, s31);
            value = TOperations.Broadcast(left[row4]);
            s40 = TOperations.MultiplyAdd(value, right0, s40);
            s41 = TOperations.MultiplyAdd(value, right1, s41);
            value = TOperations.Broadcast(left[row5]);
            s50 = TOperations.MultiplyAdd(value, right0, s50);
            s51 = TOperations.MultiplyAdd(value, right1, s51);
            left += depthStride;
            right += 2 * TOperations.Width;
        }

        Store2(result, factors, s00, s01);
        if (rows == 1)
            return;
        Store2(result + 1 * resultStride, factors, s10, s11);
        if (rows == 2)
            return;
        Store2(result + 2 * resultStride, factors, s20, s21);
        if (rows == 3)
            return;
        Store2(result + 3 * resultStride, factors, s30, s31);
        if (rows == 4)
            return;
        Store2(result + 4 * resultStride, factors, s40, s41);
        if (rows == 5)
            return;
        Store2(result + 5 * resultStride, factors, s50, s51);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store2(float* result, float* factors, TVector value0, TVector value1)
    {
        if (factors != null)
        {
            value0 = TOperations.MultiplyAdd(TOperations.Load(result), TOperations.Load(factors), value0);
            value1 = TOperations.MultiplyAdd(TOperations.Load(result + 1 * TOperations.Width), TOperations.Load(factors + 1 * TOperations.Width), value1);
        }

        TOperations.Store(value0, result);
        TOperations.Store(value1, result + 1 * TOperations.Width);
    }
}
