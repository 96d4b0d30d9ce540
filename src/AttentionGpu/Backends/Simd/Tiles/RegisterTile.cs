using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>
/// The inner product of everything on the host: rows of a left operand, whose elements are broadcast, by a panel of lanes. In attention
/// the lanes are queries, so that softmax needs no work across lanes; in a linear layer they are output columns.
/// </summary>
internal static unsafe class RegisterTile<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int SingleRows = 16;
    private const int TallRows = 6;
    private const int MiddleRows = 4;
    private const int LowRows = 2;

    /// <summary>Lanes of a panel.</summary>
    public static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TOperations.TileVectors * TOperations.Width;
    }

    /// <summary>Lanes of a narrow panel: half, where a panel has four vectors; else all.</summary>
    public static int NarrowLanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TOperations.Width;
    }

    /// <summary>Lanes of the narrowest panel: a vector's, where a panel has four; else all.</summary>
    public static int LeastLanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TOperations.TileVectors == 4 ? TOperations.Width : Lanes;
    }

    /// <summary>
    /// <c>result[r][lane] = sum over steps of left[r * rowStride + step * depthStride] * right[step * rightStride + lane]</c> for
    /// <paramref name="rows"/> rows and <paramref name="lanes"/> lanes: <see cref="Lanes"/>, <see cref="NarrowLanes"/> or
    /// <see cref="LeastLanes"/>. What comes next is asked for meanwhile.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply<TResult>(
        int rows, int lanes, int depth, float* left, nint rowStride, nint depthStride, float* right, nint rightStride, TResult result,
        Lookahead* ahead = null)
        where TResult : struct, ITileResult
    {
        var operands = new Operands
        {
            Depth = depth,
            Left = left,
            RowStride = rowStride,
            DepthStride = depthStride,
            Right = right,
            RightStride = rightStride,
        };
        if (TOperations.TileVectors == 4 && lanes == Lanes)
            MultiplyRows<TileRow4<TVector, TOperations>, TResult>(rows, 0, ref operands, result, ahead);
        else if (TOperations.TileVectors != 4 || lanes == NarrowLanes)
            MultiplyRows<TileRow2<TVector, TOperations>, TResult>(rows, 0, ref operands, result, ahead);
        else
            MultiplySingle(rows, ref operands, result, ahead);
    }

    // Panels of one vector: tiles of sixteen rows, then what is left.
    private static void MultiplySingle<TResult>(int rows, ref Operands operands, in TResult result, Lookahead* ahead)
        where TResult : struct, ITileResult
    {
        float* left = operands.Left;
        int row = 0;
        for (; rows - row >= SingleRows; row += SingleRows)
        {
            operands.Left = left + row * operands.RowStride;
            Single(operands, row, result, Lookahead.Take(ahead, operands.Depth));
        }

        operands.Left = left;
        MultiplyRows<TileRow1<TVector, TOperations>, TResult>(rows, row, ref operands, result, ahead);
    }

    private static void MultiplyRows<TRow, TResult>(int rows, int row, ref Operands operands, in TResult result, Lookahead* ahead)
        where TRow : struct, ITileRow<TRow, TVector>
        where TResult : struct, ITileResult
    {
        float* left = operands.Left;
        for (; rows - row > MiddleRows; row += TallRows)
        {
            operands.Left = left + row * operands.RowStride;
            LinePrefetch next = Lookahead.Take(ahead, operands.Depth / 2);
            if (next.IsEmpty)
                Tall<TRow, TResult, NoLines>(operands, row, Math.Min(TallRows, rows - row), result, default);
            else
                Tall<TRow, TResult, LinePrefetch>(operands, row, Math.Min(TallRows, rows - row), result, next);
        }

        if (row >= rows)
            return;
        operands.Left = left + row * operands.RowStride;
        if (rows - row > LowRows)
            Middle<TRow, TResult>(operands, row, rows - row, result);
        else
            Low<TRow, TResult>(operands, row, rows - row, result);
    }

    /// <summary>
    /// Sixteen rows of one vector, of 512 bits. A step: 16 multiply-adds, 1 load and 16 broadcasts, which are operands of the
    /// multiply-adds, with 16 + 1 of 32 registers. A tile reads as many lines as it has steps, and each step asks for one that comes next:
    /// all at once they would keep the tile's own waiting.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Single<TResult>(in Operands operands, int firstRow, in TResult result, LinePrefetch next)
        where TResult : struct, ITileResult
    {
        float* left = operands.Left;
        float* right = operands.Right;
        nint depthStride = operands.DepthStride;
        nint rightStride = operands.RightStride;
        nint row1 = operands.RowStride;
        nint row2 = 2 * row1;
        nint row3 = 3 * row1;
        nint row4 = 4 * row1;
        nint row5 = 5 * row1;
        nint row6 = 6 * row1;
        nint row7 = 7 * row1;
        float* lower = left + 8 * row1;
        for (int row = 0; row < SingleRows; row++)
            result.Prepare(firstRow + row, TOperations.Width);
        TVector a0 = TOperations.Zero, a1 = TOperations.Zero, a2 = TOperations.Zero, a3 = TOperations.Zero;
        TVector a4 = TOperations.Zero, a5 = TOperations.Zero, a6 = TOperations.Zero, a7 = TOperations.Zero;
        TVector b0 = TOperations.Zero, b1 = TOperations.Zero, b2 = TOperations.Zero, b3 = TOperations.Zero;
        TVector b4 = TOperations.Zero, b5 = TOperations.Zero, b6 = TOperations.Zero, b7 = TOperations.Zero;
        for (int step = operands.Depth; step > 0; step--)
        {
            next.Next();
            TVector lanes = TOperations.Load(right);
            a0 = TOperations.MultiplyAdd(TOperations.Broadcast(left[0]), lanes, a0);
            a1 = TOperations.MultiplyAdd(TOperations.Broadcast(left[row1]), lanes, a1);
            a2 = TOperations.MultiplyAdd(TOperations.Broadcast(left[row2]), lanes, a2);
            a3 = TOperations.MultiplyAdd(TOperations.Broadcast(left[row3]), lanes, a3);
            a4 = TOperations.MultiplyAdd(TOperations.Broadcast(left[row4]), lanes, a4);
            a5 = TOperations.MultiplyAdd(TOperations.Broadcast(left[row5]), lanes, a5);
            a6 = TOperations.MultiplyAdd(TOperations.Broadcast(left[row6]), lanes, a6);
            a7 = TOperations.MultiplyAdd(TOperations.Broadcast(left[row7]), lanes, a7);
            b0 = TOperations.MultiplyAdd(TOperations.Broadcast(lower[0]), lanes, b0);
            b1 = TOperations.MultiplyAdd(TOperations.Broadcast(lower[row1]), lanes, b1);
            b2 = TOperations.MultiplyAdd(TOperations.Broadcast(lower[row2]), lanes, b2);
            b3 = TOperations.MultiplyAdd(TOperations.Broadcast(lower[row3]), lanes, b3);
            b4 = TOperations.MultiplyAdd(TOperations.Broadcast(lower[row4]), lanes, b4);
            b5 = TOperations.MultiplyAdd(TOperations.Broadcast(lower[row5]), lanes, b5);
            b6 = TOperations.MultiplyAdd(TOperations.Broadcast(lower[row6]), lanes, b6);
            b7 = TOperations.MultiplyAdd(TOperations.Broadcast(lower[row7]), lanes, b7);
            left += depthStride;
            lower += depthStride;
            right += rightStride;
        }

        Take(result, firstRow, a0, a1, a2, a3);
        Take(result, firstRow + 4, a4, a5, a6, a7);
        Take(result, firstRow + 8, b0, b1, b2, b3);
        Take(result, firstRow + 12, b4, b5, b6, b7);
    }

    // Four rows of one vector.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Take<TResult>(in TResult result, int row, TVector a, TVector b, TVector c, TVector d)
        where TResult : struct, ITileResult
    {
        (TileRow1<TVector, TOperations> row0, TileRow1<TVector, TOperations> row1) = (new(a), new(b));
        (TileRow1<TVector, TOperations> row2, TileRow1<TVector, TOperations> row3) = (new(c), new(d));
        result.Take<TileRow1<TVector, TOperations>, TVector>(row0, row);
        result.Take<TileRow1<TVector, TOperations>, TVector>(row1, row + 1);
        result.Take<TileRow1<TVector, TOperations>, TVector>(row2, row + 2);
        result.Take<TileRow1<TVector, TOperations>, TVector>(row3, row + 3);
        if (result.Maxima != null)
            TOperations.Store(TOperations.Max(
                TOperations.Max(TOperations.Max(a, b), TOperations.Max(c, d)), TOperations.Load(result.Maxima)), result.Maxima);
    }

    /// <summary>
    /// Five or six rows. A step with 512 bits: 24 multiply-adds, 4 loads and 6 broadcasts, 24 + 4 + 1 of 32 registers. With 256 or 128
    /// bits: 12, 2 and 6, 15 of 16. A row that is not there repeats the one before. Every other step asks for a line of what comes next.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tall<TRow, TResult, TLines>(in Operands operands, int firstRow, int rows, in TResult result, TLines next)
        where TRow : struct, ITileRow<TRow, TVector>
        where TResult : struct, ITileResult
        where TLines : struct, ILines
    {
        float* left = operands.Left;
        float* right = operands.Right;
        nint depthStride = operands.DepthStride;
        nint rightStride = operands.RightStride;
        nint row1 = operands.RowStride;
        nint row2 = 2 * row1;
        nint row3 = 3 * row1;
        nint row4 = 4 * row1;
        nint row5 = (rows - 1) * row1;
        for (int row = 0; row < rows; row++)
            result.Prepare(firstRow + row, TRow.Lanes);
        TRow sums0 = TRow.Zero, sums1 = TRow.Zero, sums2 = TRow.Zero, sums3 = TRow.Zero, sums4 = TRow.Zero, sums5 = TRow.Zero;
        for (int step = operands.Depth; step > 0; step--)
        {
            if ((step & 1) == 0)
                next.Next();
            TRow lanes = TRow.Load(right);
            sums0 = TRow.MultiplyAdd(TOperations.Broadcast(left[0]), lanes, sums0);
            sums1 = TRow.MultiplyAdd(TOperations.Broadcast(left[row1]), lanes, sums1);
            sums2 = TRow.MultiplyAdd(TOperations.Broadcast(left[row2]), lanes, sums2);
            sums3 = TRow.MultiplyAdd(TOperations.Broadcast(left[row3]), lanes, sums3);
            sums4 = TRow.MultiplyAdd(TOperations.Broadcast(left[row4]), lanes, sums4);
            sums5 = TRow.MultiplyAdd(TOperations.Broadcast(left[row5]), lanes, sums5);
            left += depthStride;
            right += rightStride;
        }

        result.Take<TRow, TVector>(sums0, firstRow);
        result.Take<TRow, TVector>(sums1, firstRow + 1);
        result.Take<TRow, TVector>(sums2, firstRow + 2);
        result.Take<TRow, TVector>(sums3, firstRow + 3);
        result.Take<TRow, TVector>(sums4, firstRow + 4);
        if (rows > 5)
            result.Take<TRow, TVector>(sums5, firstRow + 5);
        if (result.Maxima != null)
            Raise(result.Maxima, TRow.Max(TRow.Max(TRow.Max(sums0, sums1), TRow.Max(sums2, sums3)), TRow.Max(sums4, sums5)));
    }

    /// <summary>Three or four rows; two thirds of the work of <see cref="Tall"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Middle<TRow, TResult>(in Operands operands, int firstRow, int rows, in TResult result)
        where TRow : struct, ITileRow<TRow, TVector>
        where TResult : struct, ITileResult
    {
        float* left = operands.Left;
        float* right = operands.Right;
        nint depthStride = operands.DepthStride;
        nint rightStride = operands.RightStride;
        nint row1 = operands.RowStride;
        nint row2 = 2 * row1;
        nint row3 = (rows - 1) * row1;
        for (int row = 0; row < rows; row++)
            result.Prepare(firstRow + row, TRow.Lanes);
        TRow sums0 = TRow.Zero, sums1 = TRow.Zero, sums2 = TRow.Zero, sums3 = TRow.Zero;
        for (int step = operands.Depth; step > 0; step--)
        {
            TRow lanes = TRow.Load(right);
            sums0 = TRow.MultiplyAdd(TOperations.Broadcast(left[0]), lanes, sums0);
            sums1 = TRow.MultiplyAdd(TOperations.Broadcast(left[row1]), lanes, sums1);
            sums2 = TRow.MultiplyAdd(TOperations.Broadcast(left[row2]), lanes, sums2);
            sums3 = TRow.MultiplyAdd(TOperations.Broadcast(left[row3]), lanes, sums3);
            left += depthStride;
            right += rightStride;
        }

        result.Take<TRow, TVector>(sums0, firstRow);
        result.Take<TRow, TVector>(sums1, firstRow + 1);
        result.Take<TRow, TVector>(sums2, firstRow + 2);
        if (rows > 3)
            result.Take<TRow, TVector>(sums3, firstRow + 3);
        if (result.Maxima != null)
            Raise(result.Maxima, TRow.Max(TRow.Max(sums0, sums1), TRow.Max(sums2, sums3)));
    }

    /// <summary>One or two rows; a third of the work of <see cref="Tall"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Low<TRow, TResult>(in Operands operands, int firstRow, int rows, in TResult result)
        where TRow : struct, ITileRow<TRow, TVector>
        where TResult : struct, ITileResult
    {
        float* left = operands.Left;
        float* right = operands.Right;
        nint depthStride = operands.DepthStride;
        nint rightStride = operands.RightStride;
        nint row1 = (rows - 1) * operands.RowStride;
        TRow sums0 = TRow.Zero, sums1 = TRow.Zero;
        for (int step = operands.Depth; step > 0; step--)
        {
            TRow lanes = TRow.Load(right);
            sums0 = TRow.MultiplyAdd(TOperations.Broadcast(left[0]), lanes, sums0);
            sums1 = TRow.MultiplyAdd(TOperations.Broadcast(left[row1]), lanes, sums1);
            left += depthStride;
            right += rightStride;
        }

        result.Take<TRow, TVector>(sums0, firstRow);
        if (rows > 1)
            result.Take<TRow, TVector>(sums1, firstRow + 1);
        if (result.Maxima != null)
            Raise(result.Maxima, TRow.Max(sums0, sums1));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Raise<TRow>(float* maxima, TRow largest)
        where TRow : struct, ITileRow<TRow, TVector> =>
        TRow.Store(TRow.Max(largest, TRow.Load(maxima)), maxima);

    private struct Operands
    {
        public int Depth;
        public float* Left;
        public nint RowStride;
        public nint DepthStride;
        public float* Right;
        public nint RightStride;
    }
}
