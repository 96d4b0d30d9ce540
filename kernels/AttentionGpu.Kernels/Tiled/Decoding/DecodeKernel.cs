using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU;
using ILGPU.Algorithms;

namespace AttentionGpu.Kernels.Tiled.Decoding;

/// <summary>
/// Attention of few queries over many keys, which are split into parts so that they fill a device: a softmax of its own for each part.
/// <see cref="MergeKernel"/> joins them. Dao and others, "Flash-Decoding for long-context inference" (2023).
/// </summary>
public static class DecodeKernel
{
    private const int RowCount = DecodeRows<AllKeys, NoVariant>.Count;

    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount(DecodeArguments shape, int batch) =>
        (long)batch * (shape.Attention.Heads / shape.Attention.GroupSize) * RowTiles(shape.Attention) * shape.Parts;

    /// <summary>
    /// The outputs of a part of the keys for eight rows: the queries of the heads that share a head of keys and values. The part is read
    /// once for all of them.
    /// </summary>
    /// <remarks>
    /// Scores, a thread has a key: for a step of head size 8 multiply-adds, a load of 4 bytes of the key and 2 loads of 16 bytes of the
    /// queries, all from shared memory, where keys are brought through a panel. Values, a thread has a column: for a key 8 multiply-adds, a
    /// load from global memory and 2 loads of 16 bytes of the weights. Registers: 8 products or sums, 8 maxima or sums of weights.
    /// Weights are divided by their sum before they meet values: the sums are means, which do not overflow. Values that are not finite are
    /// added to the rows that see them alone.
    /// </remarks>
    public static void Part<TTile, TElement, TKeyValues, TRange, TVariant>(
        DecodeArguments shape, ContiguousRows<TElement> query, TKeyValues key, TKeyValues value, ArrayView<Sequence> sequences,
        TRange range,
        TVariant variant)
        where TTile : struct, ITile
        where TElement : unmanaged, IElement<TElement>
        where TKeyValues : struct, IMatrixRows
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        int threads = ThreadPosition<TTile>.Threads;
        int pitch = ThreadPosition<TTile>.Threads + 1;
        ArrayView<float> keyPanel = SharedMemory.Allocate<float>(TTile.Depth * (ThreadPosition<TTile>.Threads + 1));
        ArrayView<Float4> queryPanel = SharedMemory.Allocate<Float4>(TTile.Depth * 2);
        ArrayView<Float4> weights = SharedMemory.Allocate<Float4>(DecodeArguments.PartKeys * 2);
        ArrayView<Float4> scratch = SharedMemory.Allocate<Float4>(ThreadPosition<TTile>.Threads * 2);
        ArrayView<int> queries = SharedMemory.Allocate<int>(RowCount);
        ArrayView<int> heads = SharedMemory.Allocate<int>(RowCount);
        ArrayView<long> addresses = SharedMemory.Allocate<long>(RowCount);

        int group = shape.Attention.GroupSize;
        int rowTiles = RowTiles(shape.Attention);
        int keyHeads = shape.Attention.Heads / group;
        var place = new GroupPlace(shape.Parts, rowTiles, keyHeads);
        int part = place.Column;
        int firstRow = place.Row * RowCount;
        int matrix = place.Matrix;
        int batch = place.Batch;
        Sequence sequence = shape.Sequence(sequences, batch);
        int firstQuery = firstRow / group;
        int lastQuery = IntrinsicMath.Min((firstRow + RowCount - 1) / group, sequence.QueryLength - 1);
        if (firstQuery > lastQuery)
            return;
        int partKey = part * DecodeArguments.PartKeys;
        int startKey = IntrinsicMath.Max(partKey, range.FirstKey(sequence, firstQuery));
        int endKey = IntrinsicMath.Min(partKey + DecodeArguments.PartKeys, range.EndKey(sequence, lastQuery));
        if (startKey >= endKey)
            return;

        int thread = Group.IdxX;
        for (int row = thread; row < RowCount; row += threads)
        {
            // A row's query and its head in the group, without a division in the loop.
            int own = firstQuery;
            int ofGroup = firstRow + row - firstQuery * group;
            while (ofGroup >= group)
            {
                ofGroup -= group;
                own++;
            }

            bool exists = own <= lastQuery;
            int head = place.Head * group + ofGroup;
            queries[row] = exists ? own : -1;
            heads[row] = head;
            addresses[row] = query.Address(batch, head, sequence.QueryStart + (exists ? own : 0));
        }

        var rows = new DecodeRows<TRange, TVariant>
        {
            Queries = queries,
            Heads = heads,
            Batch = batch,
            Sequence = sequence,
            Range = range,
            Variant = variant,
        };
        int firstBlock = partKey + (startKey - partKey) / threads * threads;
        long keyAt = key.Origin(matrix, sequence.KeyStart + firstBlock);
        Rows8 maxima = Rows8.Uniform(float.NegativeInfinity);
        Group.Barrier();
        for (int block = firstBlock; block < endKey; block += threads)
        {
            Rows8 products = default;
            for (int depth = 0; depth < shape.Attention.HeadSize; depth += TTile.Depth)
            {
                PanelLoader.LoadTransposed<TTile, TKeyValues>(
                    keyPanel, pitch, threads, key, keyAt, endKey - block, depth, shape.Attention.HeadSize);
                for (int i = thread; i < RowCount * TTile.Depth; i += threads)
                {
                    int column = depth + i / RowCount;
                    queryPanel.Cast<float>()[i] =
                        column < shape.Attention.HeadSize ? query.Load(addresses[i & (RowCount - 1)], column) : 0f;
                }

                Group.Barrier();
                for (int line = 0; line < TTile.Depth; line++)
                    MultiplyAdd(ref products, keyPanel[line * pitch + thread], queryPanel, line);
                Group.Barrier();
            }

            products.Low.Scale(shape.Attention.Scale);
            products.High.Scale(shape.Attention.Scale);
            Rows8 scores = rows.Scores(products, block + thread);
            scores.Store(weights, (block - partKey + thread) * 2, 1);
            maxima = Rows8.Maximum(maxima, scores);
            keyAt = key.Skip(keyAt, threads);
        }

        // A thread reads and writes the weights of its own keys alone, until the barriers of the sums.
        maxima = Join(maxima, scratch, threads, ofMaxima: true);
        Rows8 sums = default;
        for (int i = firstBlock - partKey + thread; i < endKey - partKey; i += threads)
        {
            Rows8 own = Exponentials(Rows8.Load(weights, i * 2, 1), maxima);
            own.Store(weights, i * 2, 1);
            sums = Rows8.Add(sums, own);
        }

        sums = Join(sums, scratch, threads, ofMaxima: false);
        for (int i = firstBlock - partKey + thread; i < endKey - partKey; i += threads)
            Divided(Rows8.Load(weights, i * 2, 1), sums).Store(weights, i * 2, 1);
        for (int row = thread; row < RowCount; row += threads)
        {
            if (queries[row] >= 0)
            {
                var state = new OnlineSoftmax { Maximum = maxima[row], Sum = sums[row] };
                shape.LogSumExp[shape.Part(batch * shape.Attention.Heads + heads[row], queries[row], part)] = state.LogSumExp;
            }
        }

        Group.Barrier();
        long valueOrigin = thread < shape.Attention.ValueHeadSize ? value.Origin(matrix, sequence.KeyStart + startKey) : 0L;
        for (int column = thread; column < shape.Attention.ValueHeadSize; column += threads)
        {
            Rows8 means = default;
            bool isFinite = true;
            long valueAt = valueOrigin;
            for (int i = startKey; i < endKey; i++)
            {
                float one = value.Load(value.Row(valueAt, 0), column);
                valueAt = value.Skip(valueAt, 1);
                if (ValuePass.IsFinite(one))
                {
                    MultiplyAdd(ref means, one, weights, i - partKey);
                }
                else
                {
                    means = Rows8.Add(means, rows.Visible(one, i));
                    isFinite = false;
                }
            }

            for (int row = 0; row < RowCount; row++)
            {
                if (queries[row] >= 0)
                {
                    long at = shape.Part(batch * shape.Attention.Heads + heads[row], queries[row], part);
                    shape.Outputs[at * shape.Attention.ValueHeadSize + column] =
                        isFinite ? MergeKernel.Bounded(means[row]) : means[row];
                }
            }
        }
    }

    private static int RowTiles(AttentionArguments shape) => TileCount.DivideUp(shape.QueryLength * shape.GroupSize, RowCount);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void MultiplyAdd(ref Rows8 sums, float factor, ArrayView<Float4> rows, int line)
    {
        sums.Low.MultiplyAdd(factor, rows[line * 2]);
        sums.High.MultiplyAdd(factor, rows[line * 2 + 1]);
    }

    // The maxima or sums of all threads, in every thread, always in the same order.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Rows8 Join(Rows8 values, ArrayView<Float4> scratch, int threads, bool ofMaxima)
    {
        values.Store(scratch, Group.IdxX * 2, 1);
        Group.Barrier();
        for (int distance = threads / 2; distance > 0; distance /= 2)
        {
            if (Group.IdxX < distance)
            {
                var other = Rows8.Load(scratch, (Group.IdxX + distance) * 2, 1);
                values = ofMaxima ? Rows8.Maximum(values, other) : Rows8.Add(values, other);
                values.Store(scratch, Group.IdxX * 2, 1);
            }

            Group.Barrier();
        }

        values = Rows8.Load(scratch, 0, 1);
        Group.Barrier();
        return values;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Rows8 Exponentials(Rows8 scores, Rows8 maxima) =>
        new(Exponentials(scores.Low, maxima.Low), Exponentials(scores.High, maxima.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Float4 Exponentials(Float4 scores, Float4 maxima) => new(
        Exponential(scores.X, maxima.X), Exponential(scores.Y, maxima.Y), Exponential(scores.Z, maxima.Z),
        Exponential(scores.W, maxima.W));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Exponential(float score, float maximum) =>
        XMath.Exp(score - new OnlineSoftmax { Maximum = maximum }.Shift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Rows8 Divided(Rows8 weights, Rows8 sums) => new(Divided(weights.Low, sums.Low), Divided(weights.High, sums.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Float4 Divided(Float4 weights, Float4 sums) => new(
        weights.X * OnlineSoftmax.Reciprocal(sums.X), weights.Y * OnlineSoftmax.Reciprocal(sums.Y),
        weights.Z * OnlineSoftmax.Reciprocal(sums.Z), weights.W * OnlineSoftmax.Reciprocal(sums.W));
}
