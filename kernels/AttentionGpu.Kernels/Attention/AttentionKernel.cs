using AttentionGpu.Kernels.Fragments;
using AttentionGpu.Kernels.Layouts;
using AttentionGpu.Kernels.Masks;
using AttentionGpu.Kernels.Matmul;
using AttentionGpu.Kernels.Reductions;
using AttentionGpu.Kernels.Softmax;
using AttentionGpu.Kernels.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Attention;

/// <summary>
/// Fused attention forward: one pass over the keys with a running softmax, never a length x length matrix in memory.
/// Dao, "FlashAttention-2" (2023), algorithm 1, in float32 on plain multiply-adds.
/// </summary>
public static class AttentionKernel
{
    /// <summary>Columns of the output that a group computes; wider values take more groups, each with its own scores.</summary>
    public static int TileValues<TTile, TValues>()
        where TTile : struct, ITile
        where TValues : struct, IFragment => 4 * TTile.ColumnThreads * TValues.Groups;

    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount<TTile, TValues>(AttentionShape shape, int batch)
        where TTile : struct, ITile
        where TValues : struct, IFragment =>
        (long)batch * shape.Heads
        * TileCount.DivideUp(shape.QueryLength, ThreadPosition<TTile>.TileRows)
        * TileCount.DivideUp(shape.ValueHeadSize, TileValues<TTile, TValues>());

    /// <summary>
    /// <c>output = softmax(mask(scale * query * key^T)) * value</c>; one group of threads a block of queries of one head. A row that sees
    /// no key becomes zeros.
    /// </summary>
    /// <remarks>
    /// Inner loops, per thread. Scores, a step of head size: 32 multiply-adds, 3 loads of 16 bytes from shared memory (10.7 a load).
    /// Values, a key: 32 multiply-adds and 3 loads, or 64 and 4 with two groups (16 a load). Registers: 32 scores, 32 or 64
    /// outputs, 16 softmax state, 12 or 16 operands. Shared memory: the weights of a block, and one panel that queries and keys,
    /// then values, pass through.
    /// </remarks>
    public static void Forward<TTile, TValues, TReduction, TMask>(
        AttentionShape shape,
        ArrayView<float> query, ArrayView<float> key, ArrayView<float> value, ArrayView<float> output,
        TMask mask)
        where TTile : struct, ITile
        where TValues : struct, IFragment
        where TReduction : struct, IRowReduction
        where TMask : struct, IAttentionMask
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
        ArrayView<int> flags = SharedMemory.Allocate<int>(BlockScan.Flags);
        ArrayView<Float4> keyPanel = panel.SubView(TTile.Depth * rowPitch, TTile.Depth * keyPitch);

        int valueTiles = TileCount.DivideUp(shape.ValueHeadSize, tileValues);
        int queryTiles = TileCount.DivideUp(shape.QueryLength, tileRows);
        int firstValue = Grid.IdxX % valueTiles * tileValues;

        // Late queries see the most keys under a causal mask: they start first, so that the short ones fill the gaps at the end.
        int firstQuery = (queryTiles - 1 - Grid.IdxX / valueTiles % queryTiles) * tileRows;
        int matrix = Grid.IdxX / valueTiles / queryTiles;
        long queryBase = shape.Query.Base(matrix);
        long keyBase = shape.Key.Base(matrix);
        long valueBase = shape.Value.Base(matrix);

        ThreadPosition<TTile> thread = ThreadPosition<TTile>.Current;
        var masking = new ScoreMasking<TTile, TMask>
        {
            Mask = mask,
            Thread = thread,
            Batch = matrix / shape.Heads,
            Head = matrix % shape.Heads,
            FirstQuery = firstQuery,
            QueryLength = shape.QueryLength,
            KeyLength = shape.KeyLength,
        };
        if (TMask.ScansBlocks)
        {
            BlockScan.Start(flags);
            Group.Barrier();
        }

        int endKey = mask.EndKey(IntrinsicMath.Min(firstQuery + tileRows, shape.QueryLength) - 1, shape.KeyLength);
        RowSoftmax softmax = RowSoftmax.Empty;
        TValues sums = default;
        for (int firstKey = 0; firstKey < endKey; firstKey += tileKeys)
        {
            if (TMask.ScansBlocks && !BlockScan.AnyVisible<TTile, TMask>(
                flags, firstKey / tileKeys, mask, shape, masking.Batch, masking.Head, firstQuery, firstKey, tileKeys))
            {
                continue;
            }

            Fragment8x4 scores = default;
            for (int depth = 0; depth < shape.HeadSize; depth += TTile.Depth)
            {
                PanelLoader.LoadTransposed<TTile, RowLayout>(
                    panel.Cast<float>(), 4 * rowPitch, tileRows,
                    query, shape.Query, queryBase, firstQuery, shape.QueryLength, depth, shape.HeadSize);
                PanelLoader.LoadTransposed<TTile, RowLayout>(
                    keyPanel.Cast<float>(), 4 * keyPitch, tileKeys,
                    key, shape.Key, keyBase, firstKey, shape.KeyLength, depth, shape.HeadSize);
                Group.Barrier();
                for (int line = 0; line < TTile.Depth; line++)
                    scores.MultiplyAdd(thread.LoadRows(panel, line), keyPanel, line * keyPitch + thread.Column, 0);
                Group.Barrier();
            }

            scores.Scale(Rows8.Uniform(shape.Scale));
            int blockEnd = firstKey + tileKeys;
            if (blockEnd > shape.KeyLength || !mask.LeavesAlone(firstQuery, blockEnd))
                masking.Apply(ref scores, firstKey + 4 * thread.Column);

            Rows8 maxima = TReduction.Max(
                scores.RowMax, weights, thread.Row, TTile.RowThreads, thread.Column, TTile.ColumnThreads);
            sums.Scale(softmax.Advance(ref scores, maxima));
            scores.StoreTransposed(weights, 4 * thread.Column * rowPitch + thread.Row, rowPitch, TTile.RowThreads);

            for (int depth = 0; depth < tileKeys; depth += TTile.Depth)
            {
                PanelLoader.Load<TTile>(
                    panel.Cast<float>(), tileValues,
                    value, shape.Value, valueBase, firstKey + depth, shape.KeyLength, firstValue, shape.ValueHeadSize);
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
        }

        Rows8 totals = TReduction.Sum(softmax.Sums, weights, thread.Row, TTile.RowThreads, thread.Column, TTile.ColumnThreads);
        sums.Scale(new Rows8(Reciprocals(totals.Low), Reciprocals(totals.High)));
        sums.Store(
            new MatmulSink<TTile, RowLayout, ScaleEpilogue>
            {
                Result = output,
                Layout = shape.Output,
                MatrixBase = shape.Output.Base(matrix),
                Epilogue = new ScaleEpilogue { Scale = 1f },
                Thread = thread,
                FirstRow = firstQuery,
                Rows = shape.QueryLength,
                Columns = shape.ValueHeadSize,
            },
            firstValue + 4 * thread.Column,
            4 * TTile.ColumnThreads);
    }

    private static Float4 Reciprocals(Float4 sums) => new(
        OnlineSoftmax.Reciprocal(sums.X), OnlineSoftmax.Reciprocal(sums.Y),
        OnlineSoftmax.Reciprocal(sums.Z), OnlineSoftmax.Reciprocal(sums.W));
}
