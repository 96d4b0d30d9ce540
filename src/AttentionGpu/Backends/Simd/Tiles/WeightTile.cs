using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Stored;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>
/// Sums of stored rows, weighted by a few rows of weights: the output's elements are in the lanes. Scales are multiplied with the weights.
/// </summary>
internal static unsafe partial class WeightTile<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int TileRows = 4;

    // Stored rows that lie in L1 from one pair of rows of weights to the next.
    private const int PassRows = 32;

    // Most pairs of vectors of a single row: a whole stored row of 128 elements where vectors are of 512 bits.
    private const int MostPairs = 4;

    // Of up to four rows, where vectors are of 512 bits.
    private const int FourRowPairs = 2;

    /// <summary>Columns of a tile of four rows; sums are padded to a multiple.</summary>
    public static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TOperations.Width;
    }

    /// <summary>
    /// Whether stored rows that wait for memory are read from end to end, in the order in which the processor fetches them by itself. Two
    /// rows of weights take 16 sums, two weights and a vector of elements in registers, which vectors of 512 bits have.
    /// </summary>
    /// <param name="rows">Rows of weights.</param>
    public static bool ReadsWholeRows(int rows) => rows == 1 || (rows <= TileRows && TOperations.TileVectors == 4);

    /// <summary>Floats of room for some stored rows.</summary>
    public static long RoomSize(int weightRows, int storedRows) => (long)(weightRows + Lanes) * storedRows;

    /// <summary><c>sums[i] += sum over j of weights[i, j] * values[j]</c>; weights are not kept.</summary>
    /// <param name="weights">[rows, stored rows].</param>
    /// <param name="weightStride">Floats from one row of weights to the next.</param>
    /// <param name="rows">Rows of weights and of sums.</param>
    /// <param name="columns">Elements of a stored row.</param>
    /// <param name="values">The stored rows.</param>
    /// <param name="scales">Their scales.</param>
    /// <param name="ahead">Rows that are read next: one is asked for with each, or the same columns of it.</param>
    /// <param name="sums">[rows, columns], with room for whole tiles.</param>
    /// <param name="sumsStride">Floats from one row of sums to the next.</param>
    /// <param name="room">Memory of <see cref="RoomSize"/>.</param>
    public static void Add<TStored>(
        float* weights, nint weightStride, int rows, int columns, in StoredRows values, in RowScales scales,
        in StoredRows ahead, float* sums, nint sumsStride, float* room)
        where TStored : struct, IStoredElements<TVector>
    {
        var operands = new Operands
        {
            Weights = weights,
            WeightStride = weightStride,
            Rows = rows,
            Values = values,
            Sums = sums,
            SumsStride = sumsStride,
            Ahead = ahead,
            Columns = columns,
        };
        if (TStored.HasRowScale)
            Scale(weights, weightStride, rows, values.Count, scales.First, scales.RowStride, weights, weightStride);
        int column = 0;
        while (rows == 1 && column + Lanes <= columns)
        {
            int pairs = Math.Min(MostPairs, (columns - column) / Lanes);
            AddOne<TStored>(operands, scales, column, pairs, room);
            column += pairs * Lanes;
        }

        while (TStored.WaitsForMemory && rows > 1 && ReadsWholeRows(rows) && column + Lanes <= columns)
        {
            int pairs = Math.Min(MostPairs, (columns - column) / Lanes);
            for (int first = 0; first < values.Count; first += PassRows)
            {
                int count = Math.Min(PassRows, values.Count - first);
                for (int row = 0; row < rows; row += 2)
                    AddTwo<TStored>(operands, row, Math.Min(2, rows - row), first, count, column, pairs);
            }

            column += pairs * Lanes;
        }

        while (column < columns)
        {
            int end = columns - column > TStored.GroupSize ? column + TStored.GroupSize : columns;
            if (TStored.GroupSize != int.MaxValue)
            {
                float* ofGroup = scales.First + column / TStored.GroupSize * scales.GroupStride;
                Scale(weights, weightStride, rows, values.Count, ofGroup, scales.RowStride, room, values.Count);
                operands.Weights = room;
                operands.WeightStride = values.Count;
            }

            AddColumns<TStored>(ref operands, column, end, room + (nint)rows * values.Count);
            column = end;
        }
    }

    private static void AddColumns<TStored>(ref Operands operands, int column, int end, float* tail)
        where TStored : struct, IStoredElements<TVector>
    {
        while (column + Lanes <= end)
        {
            int pairs = TOperations.TileVectors == 4 ? Math.Min(FourRowPairs, (end - column) / Lanes) : 1;
            AddRows<TStored>(operands, column, pairs);
            column += pairs * Lanes;
        }

        if (column == end)
            return;

        // The last columns, as floats with zeros behind them.
        StoredRows values = operands.Values;
        for (int j = 0; j < values.Count; j++)
        {
            float* target = tail + j * Lanes;
            new Span<float>(target, Lanes).Clear();
            int i = column;
            for (; i + TOperations.Width <= end; i += TOperations.Width)
                TOperations.Store(TStored.Load(values.First + j * values.Stride, i), target + i - column);
            for (; i < end; i++)
                target[i - column] = TStored.LoadOne(values.First + j * values.Stride, i);
        }

        operands.Ahead = default;
        operands.Values = new StoredRows { First = (byte*)tail, Stride = Lanes * sizeof(float), Count = values.Count };
        operands.Sums += column;
        AddRows<SingleElements<TVector, TOperations>>(operands, 0, 1);
        operands.Sums -= column;
        operands.Values = values;
    }

    private static void AddRows<TStored>(in Operands operands, int column, int pairs)
        where TStored : struct, IStoredElements<TVector>
    {
        for (int row = 0; row < operands.Rows; row += TileRows)
            AddFour<TStored>(operands, row, Math.Min(TileRows, operands.Rows - row), column, pairs);
    }

    /// <summary>
    /// Up to four rows of one or two pairs of vectors. A pair of a stored row costs 8 multiply-adds, 2 loads and 2 conversions, and both 4
    /// broadcasts, with 16 + 4 + 1 registers (8 + 4 + 1 for one pair). A row that is not there repeats the last.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddFour<TStored>(in Operands operands, int row, int rows, int column, int pairs)
        where TStored : struct, IStoredElements<TVector>
    {
        nint weightStride = operands.WeightStride;
        float* weights0 = operands.Weights + row * weightStride;
        float* weights1 = weights0 + Math.Min(1, rows - 1) * weightStride;
        float* weights2 = weights0 + Math.Min(2, rows - 1) * weightStride;
        float* weights3 = weights0 + (rows - 1) * weightStride;
        byte* value = operands.Values.First;
        nint stride = operands.Values.Stride;
        int count = operands.Values.Count;
        TVector a0 = TOperations.Zero, a1 = TOperations.Zero, a2 = TOperations.Zero, a3 = TOperations.Zero;
        TVector b0 = TOperations.Zero, b1 = TOperations.Zero, b2 = TOperations.Zero, b3 = TOperations.Zero;
        TVector c0 = TOperations.Zero, c1 = TOperations.Zero, c2 = TOperations.Zero, c3 = TOperations.Zero;
        TVector d0 = TOperations.Zero, d1 = TOperations.Zero, d2 = TOperations.Zero, d3 = TOperations.Zero;
        bool isWide = TOperations.TileVectors == 4 && pairs > 1;

        // The same columns of the rows that are read next. Where a line has the columns of more tiles, the first one asks for it.
        int nextByte = operands.Ahead.Bytes * column / operands.Columns;
        RowPrefetch next = row == 0 && nextByte % Prefetch.LineBytes == 0
            ? new RowPrefetch(operands.Ahead, 0, nextByte, operands.Ahead.Bytes * pairs * Lanes / operands.Columns)
            : default;
        for (int j = 0; j < count; j++)
        {
            next.Next();
            TVector weight0 = TOperations.Broadcast(weights0[j]);
            TVector weight1 = TOperations.Broadcast(weights1[j]);
            TVector weight2 = TOperations.Broadcast(weights2[j]);
            TVector weight3 = TOperations.Broadcast(weights3[j]);
            TVector element = TStored.Load(value, column);
            a0 = TOperations.MultiplyAdd(weight0, element, a0);
            a1 = TOperations.MultiplyAdd(weight1, element, a1);
            a2 = TOperations.MultiplyAdd(weight2, element, a2);
            a3 = TOperations.MultiplyAdd(weight3, element, a3);
            element = TStored.Load(value, column + TOperations.Width);
            b0 = TOperations.MultiplyAdd(weight0, element, b0);
            b1 = TOperations.MultiplyAdd(weight1, element, b1);
            b2 = TOperations.MultiplyAdd(weight2, element, b2);
            b3 = TOperations.MultiplyAdd(weight3, element, b3);
            if (isWide)
            {
                element = TStored.Load(value, column + 2 * TOperations.Width);
                c0 = TOperations.MultiplyAdd(weight0, element, c0);
                c1 = TOperations.MultiplyAdd(weight1, element, c1);
                c2 = TOperations.MultiplyAdd(weight2, element, c2);
                c3 = TOperations.MultiplyAdd(weight3, element, c3);
                element = TStored.Load(value, column + 3 * TOperations.Width);
                d0 = TOperations.MultiplyAdd(weight0, element, d0);
                d1 = TOperations.MultiplyAdd(weight1, element, d1);
                d2 = TOperations.MultiplyAdd(weight2, element, d2);
                d3 = TOperations.MultiplyAdd(weight3, element, d3);
            }

            value += stride;
        }

        float* sums = operands.Sums + row * operands.SumsStride + column;
        Take(sums, pairs, a0, b0, c0, d0);
        if (rows > 1)
            Take(sums + operands.SumsStride, pairs, a1, b1, c1, d1);
        if (rows > 2)
            Take(sums + 2 * operands.SumsStride, pairs, a2, b2, c2, d2);
        if (rows > 3)
            Take(sums + 3 * operands.SumsStride, pairs, a3, b3, c3, d3);
    }

    /// <summary>
    /// One or two rows of up to four pairs of vectors, which are next to each other. A stored row costs 16 multiply-adds, 8 loads, 8
    /// conversions and 2 broadcasts, with 16 + 2 + 1 registers. Its lines are asked for by the first two rows of weights alone.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddTwo<TStored>(in Operands operands, int row, int rows, int firstRow, int count, int column, int pairs)
        where TStored : struct, IStoredElements<TVector>
    {
        float* weights = operands.Weights + row * operands.WeightStride + firstRow;
        float* secondWeights = weights + (rows - 1) * operands.WeightStride;
        byte* value = operands.Values.First + firstRow * operands.Values.Stride + operands.Values.Bytes * column / operands.Columns;
        nint stride = operands.Values.Stride;
        RowPrefetch next = row == 0 && column == 0 ? new RowPrefetch(operands.Ahead, firstRow) : default;
        TVector a0 = TOperations.Zero, a1 = TOperations.Zero, a2 = TOperations.Zero, a3 = TOperations.Zero;
        TVector b0 = TOperations.Zero, b1 = TOperations.Zero, b2 = TOperations.Zero, b3 = TOperations.Zero;
        TVector c0 = TOperations.Zero, c1 = TOperations.Zero, c2 = TOperations.Zero, c3 = TOperations.Zero;
        TVector d0 = TOperations.Zero, d1 = TOperations.Zero, d2 = TOperations.Zero, d3 = TOperations.Zero;
        for (int j = 0; j < count; j++)
        {
            next.Next();
            TVector weight = TOperations.Broadcast(weights[j]);
            TVector second = TOperations.Broadcast(secondWeights[j]);
            TVector element = TStored.Load(value, 0);
            a0 = TOperations.MultiplyAdd(weight, element, a0);
            c0 = TOperations.MultiplyAdd(second, element, c0);
            element = TStored.Load(value, TOperations.Width);
            b0 = TOperations.MultiplyAdd(weight, element, b0);
            d0 = TOperations.MultiplyAdd(second, element, d0);
            if (pairs > 1)
            {
                element = TStored.Load(value, 2 * TOperations.Width);
                a1 = TOperations.MultiplyAdd(weight, element, a1);
                c1 = TOperations.MultiplyAdd(second, element, c1);
                element = TStored.Load(value, 3 * TOperations.Width);
                b1 = TOperations.MultiplyAdd(weight, element, b1);
                d1 = TOperations.MultiplyAdd(second, element, d1);
            }

            if (pairs > 2)
            {
                element = TStored.Load(value, 4 * TOperations.Width);
                a2 = TOperations.MultiplyAdd(weight, element, a2);
                c2 = TOperations.MultiplyAdd(second, element, c2);
                element = TStored.Load(value, 5 * TOperations.Width);
                b2 = TOperations.MultiplyAdd(weight, element, b2);
                d2 = TOperations.MultiplyAdd(second, element, d2);
            }

            if (pairs > 3)
            {
                element = TStored.Load(value, 6 * TOperations.Width);
                a3 = TOperations.MultiplyAdd(weight, element, a3);
                c3 = TOperations.MultiplyAdd(second, element, c3);
                element = TStored.Load(value, 7 * TOperations.Width);
                b3 = TOperations.MultiplyAdd(weight, element, b3);
                d3 = TOperations.MultiplyAdd(second, element, d3);
            }

            value += stride;
        }

        float* sums = operands.Sums + row * operands.SumsStride + column;
        Take(sums, pairs, a0, b0, a1, b1, a2, b2, a3, b3);
        if (rows > 1)
            Take(sums + operands.SumsStride, pairs, c0, d0, c1, d1, c2, d2, c3, d3);
    }

    // Of up to four pairs of vectors.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Take(
        float* sums, int pairs, TVector a0, TVector b0, TVector a1, TVector b1, TVector a2, TVector b2, TVector a3, TVector b3)
    {
        Take(sums, a0, b0);
        if (pairs > 1)
            Take(sums + Lanes, a1, b1);
        if (pairs > 2)
            Take(sums + 2 * Lanes, a2, b2);
        if (pairs > 3)
            Take(sums + 3 * Lanes, a3, b3);
    }

    // Of one or two.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Take(float* sums, int pairs, TVector a, TVector b, TVector c, TVector d)
    {
        Take(sums, a, b);
        if (pairs > 1)
            Take(sums + Lanes, c, d);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Take(float* sums, TVector first, TVector second)
    {
        TOperations.Store(TOperations.Add(TOperations.Load(sums), first), sums);
        TOperations.Store(TOperations.Add(TOperations.Load(sums + TOperations.Width), second), sums + TOperations.Width);
    }

    /// <summary>Multiplies rows of weights by the scales of the stored rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scale(
        float* weights, nint weightStride, int rows, int count, float* scales, nint scaleStride, float* target, nint targetStride)
    {
        for (int row = 0; row < rows; row++)
        {
            int j = 0;
            for (; scaleStride == 1 && j + TOperations.Width <= count; j += TOperations.Width)
                TOperations.Store(TOperations.Multiply(TOperations.Load(weights + j), TOperations.Load(scales + j)), target + j);
            for (; j < count; j++)
                target[j] = weights[j] * scales[j * scaleStride];
            weights += weightStride;
            target += targetStride;
        }
    }

    private struct Operands
    {
        public float* Weights;
        public nint WeightStride;
        public int Rows;
        public StoredRows Values;
        public float* Sums;
        public nint SumsStride;
        public StoredRows Ahead;

        /// <summary>Elements of a stored row.</summary>
        public int Columns;
    }
}
