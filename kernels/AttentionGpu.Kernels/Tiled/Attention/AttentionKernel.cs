using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Softmax;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Kernels.Tiled.Attention;

/// <summary>
/// Fused attention forward: one pass over the keys with a running softmax, never a length x length matrix in memory.
/// Dao, "FlashAttention-2" (2023), algorithm 1, in float32 on plain multiply-adds.
/// </summary>
public static class AttentionKernel
{
    // Sums over more keys go on from 0, and what there was is kept in the output: their rounding errors grow with the length of a stretch
    // and the number of stretches. A multiple of every tile's keys.
    private const int StretchKeys = 1024;

    // On a multiprocessor of 65,536 registers, which leaves 170 to a thread.
    private const int ResidentThreads = 384;

    /// <summary>
    /// Limits registers, so that three groups of 128 threads are resident. NVIDIA's assembler else takes 183 to 224 where 156 are alive at
    /// most, and two groups are resident.
    /// </summary>
    /// <param name="threads">Threads in a group.</param>
    public static KernelSpecialization Specialization(int threads) => new(threads, ResidentThreads / threads);

    /// <summary>Columns of the output that a group computes; wider values take more groups, each with its own scores.</summary>
    public static int TileValues<TTile, TValues>()
        where TTile : struct, ITile
        where TValues : struct, IBlockFragment => 4 * TTile.ColumnThreads * TValues.Groups;

    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount<TTile, TValues>(AttentionArguments shape, int batch)
        where TTile : struct, ITile
        where TValues : struct, IBlockFragment =>
        (long)batch * shape.Heads
        * TileCount.DivideUp(shape.QueryLength, ThreadPosition<TTile>.TileRows)
        * TileCount.DivideUp(shape.ValueHeadSize, TileValues<TTile, TValues>());

    /// <summary>
    /// <c>output = softmax(variant(scale * query * key^T)) * value</c> over the keys of a range; one group of threads a block of queries of
    /// one head. A row that sees no key becomes zeros.
    /// </summary>
    /// <remarks>
    /// Inner loops, per thread. Scores, a step of head size: 32 multiply-adds, 3 loads of 16 bytes from shared memory (10.7 a load).
    /// Values, a key: 32 multiply-adds and 3 loads, or 64 and 4 with two groups (16 a load). Registers: 32 scores, 32 or 64
    /// outputs, 16 softmax state, 12 or 16 operands. Shared memory: the weights of a block, and one panel that queries and keys,
    /// then values, pass through.
    /// </remarks>
    public static void Forward<TTile, TValues, TReduction, TElement, TKeyValues, TRange, TVariant>(
        AttentionArguments shape, ContiguousRows<TElement> query, TKeyValues key, TKeyValues value, ArrayView<TElement> output,
        AttentionTables tables, TRange range, TVariant variant)
        where TTile : struct, ITile
        where TValues : struct, IBlockFragment
        where TReduction : struct, IRowReduction
        where TElement : unmanaged, IElement<TElement>
        where TKeyValues : struct, IMatrixRows
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        int tileRows = ThreadPosition<TTile>.TileRows;
        int tileKeys = 4 * TTile.ColumnThreads;
        int tileValues = 4 * TTile.ColumnThreads * TValues.Groups;
        int rowPitch = ThreadPosition<TTile>.RowPitch;
        int keyPitch = TTile.ColumnThreads + 1;

        // The value panel takes the place of the query and key panels: Depth * ColumnThreads * Groups elements, never more than theirs.
        ArrayView<Float4> panel =
            SharedMemory.Allocate<Float4>(TTile.Depth * (ThreadPosition<TTile>.RowPitch + TTile.ColumnThreads + 1));
        ArrayView<Float4> weights = SharedMemory.Allocate<Float4>(4 * TTile.ColumnThreads * ThreadPosition<TTile>.RowPitch);
        ArrayView<int> flags = SharedMemory.Allocate<int>(BlockScan.Flags + ValuePass.Flags);
        ArrayView<OnlineSoftmax> earlier = SharedMemory.Allocate<OnlineSoftmax>(8 * TTile.RowThreads);
        ArrayView<Float4> keyPanel = panel.SubView(TTile.Depth * rowPitch, TTile.Depth * keyPitch);

        int valueTiles = TileCount.DivideUp(shape.ValueHeadSize, tileValues);
        int queryTiles = TileCount.DivideUp(shape.QueryLength, tileRows);
        var place = new GroupPlace(valueTiles, queryTiles, shape.Heads);
        int firstValue = place.Column * tileValues;

        // Late queries see the most keys under a causal mask: they start first, so that the short ones fill the gaps at the end.
        int firstQuery = (queryTiles - 1 - place.Row) * tileRows;
        var head = new SequenceHead
        {
            Batch = place.Batch,
            Head = place.Head,
            Sequence = shape.HasSequences != 0 ? tables.Sequences[place.Batch] : shape.Sequence,
        };
        int queryLength = head.Sequence.QueryLength;
        int keyLength = head.Sequence.KeyLength;

        // Sequences that are shorter than the longest leave groups without queries. As in GroupPlace, divisions are inside the branch.
        long queryOrigin = 0;
        long keyOrigin = 0;
        long valueOrigin = 0;
        long outputBase = 0;
        long sumBase = 0;
        if (firstQuery < queryLength)
        {
            queryOrigin = query.Address(place.Batch, place.Head, head.Sequence.QueryStart + firstQuery);
            keyOrigin = key.Origin(place.Matrix, head.Sequence.KeyStart);
            valueOrigin = value.Origin(place.Matrix, head.Sequence.KeyStart);
            outputBase = shape.Output.Address(place.Batch, place.Head, head.Sequence.QueryStart);
            sumBase = shape.LogSumExp.Address(place.Batch, place.Head, head.Sequence.QueryStart);
        }

        ThreadPosition<TTile> thread = ThreadPosition<TTile>.Current;
        var change = new ScoreChange<TTile, TRange, TVariant>
        {
            Range = range,
            Variant = variant,
            Thread = thread,
            Head = head,
            FirstQuery = firstQuery,
        };
        int lastQuery = IntrinsicMath.Min(firstQuery + tileRows, queryLength) - 1;
        int startKey = range.FirstKey(head.Sequence, firstQuery);
        int endKey = firstQuery < queryLength ? range.EndKey(head.Sequence, lastQuery) : 0;
        var sink = new OutputSink<TTile, TElement>
        {
            Result = output,
            Layout = shape.Output,
            MatrixBase = outputBase,
            Thread = thread,
            FirstQuery = firstQuery,
            Queries = queryLength,
            Columns = shape.ValueHeadSize,
        };
        float lastScore = shape.HasSinks != 0 ? tables.Sinks[head.Head] : float.NegativeInfinity;
        int firstColumn = firstValue + 4 * thread.Column;
        if (Group.IdxX < ValuePass.Flags)
            flags[BlockScan.Flags + Group.IdxX] = 0;
        int pass = ValuePass.Plain;

        // Optimised C# begins a loop without a condition at the top with its body. ILGPU unrolls such a loop, and all variables of the
        // kernel stay in local memory.
        bool isDone = false;
        while (!isDone)
        {
            if (TVariant.ScansBlocks)
            {
                BlockScan.Start(flags);
                Group.Barrier();
            }

            RowSoftmax softmax = RowSoftmax.Empty;
            int stretchKey = startKey;
            bool isLast = false;
            while (!isLast)
            {
                int stretchEnd = TElement.HoldsSingle && endKey - stretchKey > StretchKeys ? stretchKey + StretchKeys : endKey;
                isLast = stretchEnd == endKey;
                TValues sums = default;
                long keyAt = key.Skip(keyOrigin, stretchKey);
                long valueAt = value.Skip(valueOrigin, stretchKey);
                for (int firstKey = stretchKey;
                    firstKey < stretchEnd;
                    firstKey += tileKeys, keyAt = key.Skip(keyAt, tileKeys), valueAt = value.Skip(valueAt, tileKeys))
                {
                    if (TVariant.ScansBlocks && !BlockScan.AnyVisible(flags, (firstKey - startKey) / tileKeys, change, firstKey, tileKeys))
                        continue;

                    Fragment8x4 scores = default;
                    for (int depth = 0; depth < shape.HeadSize; depth += TTile.Depth)
                    {
                        PanelLoader.LoadTransposed<TTile, ContiguousRows<TElement>>(
                            panel.Cast<float>(), 4 * rowPitch, tileRows, query, queryOrigin, queryLength - firstQuery, depth,
                            shape.HeadSize);
                        PanelLoader.LoadTransposed<TTile, TKeyValues>(
                            keyPanel.Cast<float>(), 4 * keyPitch, tileKeys, key, keyAt, keyLength - firstKey, depth, shape.HeadSize);
                        Group.Barrier();
                        for (int line = 0; line < TTile.Depth; line++)
                            scores.MultiplyAdd(thread.LoadRows(panel, line), keyPanel, line * keyPitch + thread.Column, 0);
                        Group.Barrier();
                    }

                    scores.Scale(Rows8.Uniform(shape.Scale));
                    int blockEnd = firstKey + tileKeys;
                    if (!TVariant.IsIdentity
                        || firstKey < range.FirstKey(head.Sequence, lastQuery) || blockEnd > range.EndKey(head.Sequence, firstQuery))
                    {
                        change.Apply(ref scores, firstKey + 4 * thread.Column);
                    }

                    Rows8 maxima = TReduction.Max(
                        scores.RowMax, weights, thread.Row, TTile.RowThreads, thread.Column, TTile.ColumnThreads);
                    Rows8 shrinks = softmax.Advance(ref scores, maxima);
                    sums.StartBlock(shrinks);
                    scores.Scale(Rows8.Uniform(pass == ValuePass.Scaled ? ValuePass.Shrink : 1f));
                    scores.StoreTransposed(weights, 4 * thread.Column * rowPitch + thread.Row, rowPitch, TTile.RowThreads);

                    long linesAt = valueAt;
                    for (int depth = 0; depth < tileKeys; depth += TTile.Depth)
                    {
                        if (pass == ValuePass.Plain)
                        {
                            PanelLoader.Load<TTile, TKeyValues>(
                                panel.Cast<float>(), tileValues, value, linesAt, keyLength - firstKey - depth, firstValue,
                                shape.ValueHeadSize, onlyFinite: false);
                        }
                        else
                        {
                            PanelLoader.Load<TTile, TKeyValues>(
                                panel.Cast<float>(), tileValues, value, linesAt, keyLength - firstKey - depth, firstValue,
                                shape.ValueHeadSize, onlyFinite: true);
                        }

                        linesAt = value.Skip(linesAt, TTile.Depth);

                        Group.Barrier();
                        for (int line = 0; line < TTile.Depth; line++)
                        {
                            sums.MultiplyAdd(
                                thread.LoadRows(weights, depth + line),
                                panel,
                                line * TTile.ColumnThreads * TValues.Groups + thread.Column,
                                TTile.ColumnThreads);
                        }

                        Group.Barrier();
                    }

                    sums.EndBlock(shrinks);
                }

                Rows8 totals = TReduction.Sum(softmax.Sums, weights, thread.Row, TTile.RowThreads, thread.Column, TTile.ColumnThreads);
                sink.HasEarlier = stretchKey != startKey;
                if (TElement.HoldsSingle && sink.HasEarlier)
                    sink.Earlier = softmax.Join(ref totals, earlier, thread);
                if (isLast)
                {
                    sink.Factors = softmax.Finish(totals, lastScore);
                }
                else
                {
                    Group.Barrier();
                    if (thread.Column == 0)
                        softmax.Keep(totals, earlier, thread);
                    softmax.Restart();
                }

                sink.IsLast = isLast;
                sink.Pass = pass;
                sink.Flag = flags.SubView(BlockScan.Flags + IntrinsicMath.Min(pass, ValuePass.Flags - 1), 1);
                sums.Store(sink, firstColumn, 4 * TTile.ColumnThreads);
                stretchKey = stretchEnd;
            }

            if (pass == ValuePass.Plain && shape.HasLogSumExp != 0 && thread.Column == 0 && firstValue == 0)
            {
                StoreRows(softmax.LogSumExp, tables.LogSumExp, shape.LogSumExp, sumBase, thread, firstQuery, queryLength);
            }

            isDone = pass == ValuePass.Scaled;
            if (!isDone)
            {
                Group.Barrier();
                isDone = flags[BlockScan.Flags + pass] == 0;
                if (!isDone)
                    pass++;
            }
        }

        if (pass != ValuePass.Plain)
            AddVisible(sink, value, valueOrigin, change, firstColumn, 4 * TTile.ColumnThreads, TValues.Groups);
    }

    // Each thread its own outputs.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddVisible<TTile, TElement, TKeyValues, TRange, TVariant>(
        OutputSink<TTile, TElement> sink, TKeyValues value, long valueOrigin, ScoreChange<TTile, TRange, TVariant> change, int firstColumn,
        int stride, int groups)
        where TTile : struct, ITile
        where TElement : unmanaged, IElement<TElement>
        where TKeyValues : struct, IMatrixRows
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        for (int i = 0; i < 8 * 4 * groups; i++)
        {
            int query = sink.FirstQuery + sink.Thread.TileRow(i & 7);
            int column = firstColumn + (i >> 5) * stride + ((i >> 3) & 3);
            if (query < sink.Queries && column < sink.Columns)
            {
                ValuePass.AddVisible(
                    sink.Result, sink.Element(query, column), value, valueOrigin, column, change.Head, query, change.Range, change.Variant);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreRows<TTile>(
        Rows8 values, ArrayView<float> target, RowLayout layout, long first, ThreadPosition<TTile> thread, int firstQuery, int queryLength)
        where TTile : struct, ITile
    {
        StoreRow(values.Low.X, target, layout, first, firstQuery + thread.TileRow(0), queryLength);
        StoreRow(values.Low.Y, target, layout, first, firstQuery + thread.TileRow(1), queryLength);
        StoreRow(values.Low.Z, target, layout, first, firstQuery + thread.TileRow(2), queryLength);
        StoreRow(values.Low.W, target, layout, first, firstQuery + thread.TileRow(3), queryLength);
        StoreRow(values.High.X, target, layout, first, firstQuery + thread.TileRow(4), queryLength);
        StoreRow(values.High.Y, target, layout, first, firstQuery + thread.TileRow(5), queryLength);
        StoreRow(values.High.Z, target, layout, first, firstQuery + thread.TileRow(6), queryLength);
        StoreRow(values.High.W, target, layout, first, firstQuery + thread.TileRow(7), queryLength);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreRow(float value, ArrayView<float> target, RowLayout layout, long first, int query, int queryLength)
    {
        if (query < queryLength)
            target[first + layout.Row(query)] = value;
    }
}
