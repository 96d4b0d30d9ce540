using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Common.Variants;
using ILGPU;

namespace AttentionGpu.Kernels.Processor;

/// <summary>
/// Fused attention forward for processors: one thread a group, no barriers, and queries, keys and values that <see cref="PanelKernel"/> has
/// panelled. Dao, "FlashAttention-2" (2023), algorithm 1.
/// </summary>
public static class ProcessorAttentionKernel
{
    // Scores and outputs of eight queries are 6 KB: they and the panels that are read stay in the first-level cache.
    private const int Queries = PanelArguments.LeftLanes;
    private const int BlockKeys = 64;
    private const int GroupValues = 128;
    private const int WeightPitch = BlockKeys / 4;
    private const int SumPitch = GroupValues / 4;
    private const int LineElements = PanelArguments.RightLanes / 4;

    // After so many blocks the sums go on from 0: their rounding errors grow with the length of a stretch and the number of stretches.
    private const int StretchBlocks = 32;

    /// <summary>The number of groups to launch. Values wider than 128 take several, each with its own scores.</summary>
    public static long GroupCount(AttentionArguments shape, int batch) =>
        (long)batch * shape.Heads
        * TileCount.DivideUp(shape.QueryLength, Queries)
        * TileCount.DivideUp(shape.ValueHeadSize, GroupValues);

    /// <summary>
    /// <c>output = softmax(variant(scale * query * key^T)) * value</c> over the keys of a range, for eight queries of one head. A row that
    /// sees no key becomes zeros.
    /// </summary>
    /// <remarks>
    /// Inner loops. Scores, a step of head size: 128 multiply-adds, loads of 8 and of 16 neighbouring floats. Values, a key and 16 columns:
    /// 128 multiply-adds, 8 loads of a float and one of 16. Accumulators: 8 registers of 16 floats, or 16 of 8.
    /// </remarks>
    /// <param name="shape">Sizes and layouts; of the layouts, those of what is written.</param>
    /// <param name="query">Panels of 8 queries.</param>
    /// <param name="key">Panels of 16 keys.</param>
    /// <param name="keyPanels">Panels of keys in a head.</param>
    /// <param name="value">Panels of 16 columns of the values.</param>
    /// <param name="valueLines">Lines in a panel of values: keys of the longest sequence.</param>
    /// <param name="output">The output's memory.</param>
    /// <param name="tables">Sequences, sinks, and the logarithms of the sums.</param>
    /// <param name="range">The keys that a query can see.</param>
    /// <param name="variant">What else becomes of a score.</param>
    public static void Forward<TElement, TRange, TVariant>(
        AttentionArguments shape,
        ArrayView<Float4> query, ArrayView<Float4> key, int keyPanels, ArrayView<Float4> value, int valueLines, ArrayView<TElement> output,
        AttentionTables tables, TRange range, TVariant variant)
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        ArrayView<Float4> weights = SharedMemory.Allocate<Float4>(Queries * WeightPitch);
        ArrayView<Float4> sums = SharedMemory.Allocate<Float4>(Queries * SumPitch);
        ArrayView<OnlineSoftmax> rows = SharedMemory.Allocate<OnlineSoftmax>(Queries);
        ArrayView<float> factors = SharedMemory.Allocate<float>(Queries);
        ArrayView<Float4> earlierSums = SharedMemory.Allocate<Float4>(Queries * SumPitch);
        ArrayView<OnlineSoftmax> earlierRows = SharedMemory.Allocate<OnlineSoftmax>(Queries);
        ArrayView<Float4> finite = SharedMemory.Allocate<Float4>(BlockKeys * LineElements);

        int valuePanels = TileCount.DivideUp(shape.ValueHeadSize, PanelArguments.RightLanes);
        int valueTiles = TileCount.DivideUp(shape.ValueHeadSize, GroupValues);
        int queryTiles = TileCount.DivideUp(shape.QueryLength, Queries);
        var place = new GroupPlace(valueTiles, queryTiles, shape.Heads);
        int firstValue = place.Column * GroupValues;

        // Late queries see the most keys under a causal mask: they start first, so that the short ones fill the gaps at the end.
        int queryTile = queryTiles - 1 - place.Row;
        int firstQuery = queryTile * Queries;
        int matrix = place.Matrix;
        int keyMatrix = matrix / shape.GroupSize;
        var head = new SequenceHead
        {
            Batch = place.Batch,
            Head = place.Head,
            Sequence = shape.HasSequences != 0 ? tables.Sequences[place.Batch] : shape.Sequence,
        };
        int queryLength = head.Sequence.QueryLength;
        if (firstQuery >= queryLength)
            return;

        int lineQueries = Queries / 4;
        ArrayView<Float4> queryPanel =
            query.SubView(((long)matrix * queryTiles + queryTile) * shape.HeadSize * lineQueries, shape.HeadSize * lineQueries);
        long headKeys = (long)keyMatrix * keyPanels;
        long headValues = (long)keyMatrix * valuePanels + firstValue / PanelArguments.RightLanes;
        int columns = IntrinsicMath.Min(shape.ValueHeadSize - firstValue, GroupValues);
        int columnPanels = TileCount.DivideUp(columns, PanelArguments.RightLanes);

        int lastQuery = IntrinsicMath.Min(firstQuery + Queries, queryLength) - 1;
        int startKey = range.FirstKey(head.Sequence, firstQuery) / BlockKeys * BlockKeys;
        int endKey = range.EndKey(head.Sequence, lastQuery);
        float sink = shape.HasSinks != 0 ? tables.Sinks[head.Head] : float.NegativeInfinity;
        int pass = ValuePass.Plain;

        // Optimised C# begins a loop without a condition at the top with its body. ILGPU unrolls such a loop, and all variables of the
        // kernel stay in local memory.
        bool isDone = false;
        while (!isDone)
        {
            for (int i = 0; i < Queries * SumPitch; i++)
                sums[i] = default;
            for (int row = 0; row < Queries; row++)
                rows[row] = OnlineSoftmax.Empty;
            bool hasEarlier = false;
            for (int firstKey = startKey; firstKey < endKey; firstKey += BlockKeys)
            {
                if (firstKey != startKey && (firstKey - startKey) / BlockKeys % StretchBlocks == 0)
                {
                    EndStretch(sums, rows, earlierSums, earlierRows, hasEarlier);
                    hasEarlier = true;
                }

                int firstPanel = firstKey / PanelArguments.RightLanes;
                int panels = IntrinsicMath.Min(keyPanels - firstPanel, BlockKeys / PanelArguments.RightLanes);
                for (int panel = 0; panel < panels; panel++)
                {
                    Fragment8x16 scores = default;
                    ArrayView<Float4> keys =
                        key.SubView((headKeys + firstPanel + panel) * shape.HeadSize * LineElements, shape.HeadSize * LineElements);
                    for (int depth = 0; depth < shape.HeadSize; depth++)
                        scores.MultiplyAdd(Rows8.Load(queryPanel, depth * lineQueries, 1), keys, depth * LineElements, 1);
                    scores.Scale(Rows8.Uniform(shape.Scale));
                    scores.Store(new WeightSink { Rows = weights }, panel * LineElements, 1);
                }

                if (!TVariant.IsIdentity
                    || firstKey < range.FirstKey(head.Sequence, lastQuery)
                    || firstKey + panels * PanelArguments.RightLanes > range.EndKey(head.Sequence, firstQuery))
                {
                    Change(weights.Cast<float>(), range, variant, head, firstQuery, firstKey, panels * PanelArguments.RightLanes);
                }

                for (int row = 0; row < Queries; row++)
                {
                    OnlineSoftmax state = rows[row];
                    factors[row] = Advance(ref state, weights, row * WeightPitch, panels);
                    rows[row] = state;
                }

                if (pass == ValuePass.Scaled)
                {
                    for (int i = 0; i < Queries * WeightPitch; i++)
                    {
                        Float4 scaled = weights[i];
                        scaled.Scale(ValuePass.Shrink);
                        weights[i] = scaled;
                    }
                }

                // The last keys of a panel may lie behind the last key: their weights are 0, and their values too.
                int keyCount = IntrinsicMath.Min(panels * PanelArguments.RightLanes, valueLines - firstKey);
                for (int panel = 0; panel < columnPanels; panel++)
                {
                    Fragment8x16 products = default;
                    ArrayView<Float4> values =
                        value.SubView(((headValues + panel) * valueLines + firstKey) * LineElements, keyCount * LineElements);
                    if (pass == ValuePass.Plain)
                    {
                        for (int line = 0; line < keyCount; line++)
                            products.MultiplyAdd(LoadColumn(weights.Cast<float>(), line), values, line * LineElements, 1);
                    }
                    else
                    {
                        for (int i = 0; i < keyCount * LineElements; i++)
                            finite[i] = Finite(values[i]);
                        for (int line = 0; line < keyCount; line++)
                            products.MultiplyAdd(LoadColumn(weights.Cast<float>(), line), finite, line * LineElements, 1);
                    }

                    products.Store(new SumSink { Rows = sums, Factors = factors }, panel * LineElements, 1);
                }
            }

            if (hasEarlier)
                EndStretch(sums, rows, earlierSums, earlierRows, hasEarlier);
            bool isFinite = true;
            for (int row = 0; row <= lastQuery - firstQuery; row++)
            {
                OnlineSoftmax state = hasEarlier ? earlierRows[row] : rows[row];
                float factor = state.Finish(sink);
                int sequenceRow = head.Sequence.QueryStart + firstQuery + row;
                long outputRow = shape.Output.Base(matrix) + shape.Output.Row(sequenceRow) + firstValue;
                for (int column = 0; column < columns; column++)
                {
                    int result = row * GroupValues + column;
                    float one = (hasEarlier ? earlierSums.Cast<float>()[result] : sums.Cast<float>()[result]) * factor;
                    isFinite &= ValuePass.IsFinite(one) || !ValuePass.IsFinite(factor);
                    output[outputRow + column] = TElement.FromSingle(pass == ValuePass.Scaled ? ValuePass.Restore(one) : one);
                }

                if (shape.HasLogSumExp != 0 && firstValue == 0)
                    tables.LogSumExp[shape.LogSumExp.Base(matrix) + shape.LogSumExp.Row(sequenceRow)] = state.LogSumExp;
            }

            isDone = isFinite || pass == ValuePass.Scaled;
            if (!isDone)
                pass++;
        }

        if (pass == ValuePass.Plain)
            return;
        var originals = new ValuePanels { Elements = value.Cast<float>(), FirstPanel = headValues, Lines = valueLines };
        for (int row = 0; row <= lastQuery - firstQuery; row++)
        {
            long outputRow = shape.Output.Base(matrix) + shape.Output.Row(head.Sequence.QueryStart + firstQuery + row) + firstValue;
            for (int column = 0; column < columns; column++)
                ValuePass.AddVisible(output, outputRow + column, originals, 0, column, head, firstQuery + row, range, variant);
        }
    }

    // Adds the sums since the last stretch to those before, and begins with 0 again. The rows' maxima stay.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void EndStretch(
        ArrayView<Float4> sums, ArrayView<OnlineSoftmax> rows, ArrayView<Float4> earlierSums, ArrayView<OnlineSoftmax> earlierRows,
        bool hasEarlier)
    {
        for (int row = 0; row < Queries; row++)
        {
            OnlineSoftmax state = rows[row];
            OnlineSoftmax earlier = hasEarlier ? earlierRows[row] : OnlineSoftmax.Empty;
            float factor = earlier.Raise(state.Maximum);
            earlier.Sum += state.Sum;
            earlierRows[row] = earlier;
            state.Sum = 0f;
            rows[row] = state;
            for (int i = row * SumPitch; i < (row + 1) * SumPitch; i++)
            {
                Float4 joined = hasEarlier ? earlierSums[i] : default;
                joined.ScaleAdd(factor, sums[i]);
                earlierSums[i] = joined;
                sums[i] = default;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Float4 Finite(Float4 values) => new(Finite(values.X), Finite(values.Y), Finite(values.Z), Finite(values.W));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Finite(float value) => ValuePass.IsFinite(value) ? value : 0f;

    // Takes a row of scores in, makes them weights, and returns the factor by which its sums shrink.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Advance(ref OnlineSoftmax state, ArrayView<Float4> weights, int first, int panels)
    {
        var maxima = Lanes16.Load(weights, first, 1);
        for (int panel = 1; panel < panels; panel++)
            maxima = Lanes16.Maximum(maxima, Lanes16.Load(weights, first + panel * LineElements, 1));
        float factor = state.Raise(maxima.Max);
        Lanes16 total = default;
        for (int panel = 0; panel < panels; panel++)
        {
            var lanes = Lanes16.Load(weights, first + panel * LineElements, 1);
            lanes.ExponentiateFrom(state.Shift);
            total.MultiplyAdd(1f, lanes);
            lanes.Store(weights, first + panel * LineElements);
        }

        state.Sum += total.Sum;
        return factor;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Change<TRange, TVariant>(
        ArrayView<float> scores, TRange range, TVariant variant, SequenceHead head, int firstQuery, int firstKey, int keys)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        for (int row = 0; row < Queries; row++)
        {
            int query = firstQuery + row;
            int first = range.FirstKey(head.Sequence, query);
            int end = query < head.Sequence.QueryLength ? range.EndKey(head.Sequence, query) : 0;
            for (int i = 0; i < keys; i++)
            {
                int key = firstKey + i;
                scores[row * BlockKeys + i] =
                    key >= first && key < end ? variant.Apply(scores[row * BlockKeys + i], head, query, key) : float.NegativeInfinity;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Rows8 LoadColumn(ArrayView<float> rows, int column) => new(
        new Float4(rows[column], rows[BlockKeys + column], rows[2 * BlockKeys + column], rows[3 * BlockKeys + column]),
        new Float4(rows[4 * BlockKeys + column], rows[5 * BlockKeys + column], rows[6 * BlockKeys + column], rows[7 * BlockKeys + column]));

    // Columns are counted in fours here.
    private struct WeightSink : IFragmentSink
    {
        public ArrayView<Float4> Rows;

        public readonly void MoveTo(int column)
        {
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Write(int row, int column, Float4 values) => Rows[row * WeightPitch + column] = values;
    }

    private struct SumSink : IFragmentSink
    {
        public ArrayView<Float4> Rows;
        public ArrayView<float> Factors;

        public readonly void MoveTo(int column)
        {
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Write(int row, int column, Float4 values)
        {
            values.MultiplyAdd(Factors[row], Rows[row * SumPitch + column]);
            Rows[row * SumPitch + column] = values;
        }
    }
}
