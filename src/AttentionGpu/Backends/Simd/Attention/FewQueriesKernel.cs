using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Fused attention of a few query rows, as in decoding, where memory is the limit: each key and value is read once, where it lies, for all
/// query heads that share it. Scores are dot products, a row a query; the output's elements are in the lanes.
/// </summary>
internal sealed unsafe class FewQueriesKernel<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int MaxRows = 32;

    // The processor's own prefetching follows one stream at a time: many keys are read from end to end, then as many values. Their scores stay in L2.
    private const int MaxBlockKeys = 4096;
    private const int MaxScores = 16 << 10;

    // Keys and values that come to L1 (and are converted there) for the first rows, before the next ones take them.
    private const int Step = 16;

    private readonly AttentionProblem _problem;
    private readonly KeyBounds _bounds;
    private readonly ScoreMask<TVector, TOperations> _mask;
    private readonly ScoreTransform<TVector, TOperations> _transform;
    private readonly int _sumsStride;
    private readonly int _blockKeys;

    public FewQueriesKernel(AttentionProblem problem)
    {
        _problem = problem;
        _bounds = new(problem);
        _mask = new(problem);
        _transform = new(problem);
        _sumsStride = TileCount.DivideUp(problem.ValueHeadSize, Lanes) * Lanes;
        _blockKeys = Math.Min(MaxBlockKeys, MaxScores / Math.Min(MaxRows, RowCount) / Lanes * Lanes);
    }

    /// <summary>Blocks of rows of a key/value head: its query heads, times the queries.</summary>
    public int RowBlocks => TileCount.DivideUp(RowCount, MaxRows);

    /// <summary>Floats of a block's memory.</summary>
    public long WorkspaceSize =>
        MaxRows * (long)(_problem.HeadSize + _sumsStride + 2) + MaxScores + _blockKeys + Step * Lanes
        + (_problem.Element == ElementType.Float32 ? 1 : Step) * (long)Math.Max(_problem.HeadSize, _problem.ValueHeadSize);

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;

    private int RowCount => _problem.GroupSize * _problem.QueryLength;

    /// <summary>Attends to a range of keys, and writes the outputs, or the states where there are more parts of the keys.</summary>
    public void Attend(
        in AttentionBuffers buffers, float* memory, int batch, int keyHead, int rowBlock, int firstKey, int endKey, SplitStates? states, int part)
    {
        Block block = Begin(buffers, memory, batch, keyHead, rowBlock * MaxRows);
        firstKey = Math.Max(firstKey, _bounds.FirstKey(block.Sequence, FirstQuery(block)));
        endKey = Math.Min(endKey, _bounds.EndKey(block.Sequence, LastQuery(block)));

        // Keys that every row sees as they are.
        bool changes = _mask.Exists || _transform.Exists;
        int firstPlain = changes ? int.MaxValue : _bounds.FirstKey(block.Sequence, LastQuery(block));
        int endPlain = _bounds.EndKey(block.Sequence, FirstQuery(block));
        for (int key = firstKey; key < endKey; key += _blockKeys)
        {
            int count = Math.Min(_blockKeys, endKey - key);
            bool isPlain = key >= firstPlain && key + count <= endPlain;
            Score(buffers, block, keyHead, key, count);
            for (int row = 0; row < block.Rows; row++)
            {
                if (!isPlain)
                    Mask(buffers, block, row, key, count);
                Weigh(block, row, count);
            }

            AddValues(buffers, block, keyHead, key, count);
        }

        Write(buffers, block, states, part);
    }

    private Block Begin(in AttentionBuffers buffers, float* memory, int batch, int keyHead, int firstRow)
    {
        var block = new Block
        {
            Batch = batch,
            Sequence = buffers.SequenceOf(_problem, batch),
            FirstHead = keyHead * _problem.GroupSize,
            FirstRow = firstRow,
            Rows = Math.Min(MaxRows, RowCount - firstRow),
            Maxima = memory,
            Totals = memory + MaxRows,
            MaskRow = memory + 2 * MaxRows,
        };
        block.Queries = block.MaskRow + _blockKeys;
        block.Sums = block.Queries + (nint)MaxRows * _problem.HeadSize;
        block.Scores = block.Sums + (nint)MaxRows * _sumsStride;
        block.Tail = block.Scores + MaxScores;
        block.Converted = block.Tail + Step * Lanes;
        new Span<float>(block.Maxima, block.Rows).Fill(float.NegativeInfinity);
        new Span<float>(block.Totals, block.Rows).Clear();
        new Span<float>(block.Sums, block.Rows * _sumsStride).Clear();
        for (int row = 0; row < block.Rows; row++)
        {
            int query = block.Sequence.QueryStart + Math.Min(Query(block, row), block.Sequence.QueryLength - 1);
            var target = new Span<float>(block.Queries + (nint)row * _problem.HeadSize, _problem.HeadSize);
            ElementRows.Load(
                ElementRows.Address(buffers.Query, _problem.Element, _problem.Query.Offset(batch, Head(block, row), query)),
                _problem.Element, block.Queries + (nint)row * _problem.HeadSize, target.Length);
            TensorPrimitives.Multiply(target, _problem.Scale, target);
        }

        return block;
    }

    private int Head(in Block block, int row) => block.FirstHead + (block.FirstRow + row) / _problem.QueryLength;

    private int Query(in Block block, int row) => (block.FirstRow + row) % _problem.QueryLength;

    // Rows of more than one head have all of its queries.
    private bool IsOneHead(in Block block) => Head(block, 0) == Head(block, block.Rows - 1);

    private int FirstQuery(in Block block) => IsOneHead(block) ? Query(block, 0) : 0;

    private int LastQuery(in Block block) =>
        Math.Min(IsOneHead(block) ? Query(block, block.Rows - 1) : _problem.QueryLength - 1, block.Sequence.QueryLength - 1);

    private void Mask(in AttentionBuffers buffers, in Block block, int row, int firstKey, int count)
    {
        float* scores = block.Scores + row * _blockKeys;
        int query = Query(block, row);
        if (query >= block.Sequence.QueryLength)
            return;
        if (_transform.Exists)
            _transform.ApplyRow(buffers, Head(block, row), query + block.Sequence.DistanceOffset, firstKey, new Span<float>(scores, count));
        if (_mask.Exists)
        {
            _mask.ReadRow(buffers, block.Batch, Head(block, row), query, firstKey, count, block.MaskRow);
            for (int i = 0; i < count; i++)
                scores[i] = block.MaskRow[i] == float.NegativeInfinity ? float.NegativeInfinity : scores[i] + block.MaskRow[i];
        }

        int first = Math.Clamp(_bounds.FirstKey(block.Sequence, query) - firstKey, 0, count);
        int end = Math.Clamp(_bounds.EndKey(block.Sequence, query) - firstKey, first, count);
        new Span<float>(scores, first).Fill(float.NegativeInfinity);
        new Span<float>(scores + end, count - end).Fill(float.NegativeInfinity);
    }

    /// <summary>Raises the row's maximum, shrinks its sums where it has risen, and turns its scores into weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Weigh(in Block block, int row, int count)
    {
        float* scores = block.Scores + row * _blockKeys;

        // Whole vectors: what is not there weighs nothing.
        int padded = TileCount.DivideUp(count, TOperations.Width) * TOperations.Width;
        new Span<float>(scores + count, padded - count).Fill(float.NegativeInfinity);
        TVector largest = TOperations.Broadcast(float.NegativeInfinity);
        for (int i = 0; i < padded; i += TOperations.Width)
            largest = TOperations.Max(TOperations.Load(scores + i), largest);
        float old = block.Maxima[row];
        float maximum = TOperations.Largest(TOperations.Max(largest, TOperations.Broadcast(old)));

        // A row that has seen nothing is shifted by 0: -inf minus -inf is NaN.
        float shift = maximum == float.NegativeInfinity ? 0f : maximum;
        TVector shifts = TOperations.Broadcast(shift);
        TVector total = TOperations.Zero;
        for (int i = 0; i < padded; i += TOperations.Width)
        {
            TVector weight = VectorMath<TVector, TOperations>.ExpOfNonPositive(TOperations.Subtract(TOperations.Load(scores + i), shifts));
            total = TOperations.Add(total, weight);
            TOperations.Store(weight, scores + i);
        }

        float factor = 1f;
        if (maximum != old)
        {
            factor = MathF.Exp(old - shift);
            float* sums = block.Sums + (nint)row * _sumsStride;
            for (int i = 0; i < _sumsStride; i += TOperations.Width)
                TOperations.Store(TOperations.Multiply(TOperations.Load(sums + i), TOperations.Broadcast(factor)), sums + i);
        }

        block.Maxima[row] = maximum;
        block.Totals[row] = block.Totals[row] * factor + TOperations.Sum(total);
    }

    private void Score(in AttentionBuffers buffers, in Block block, int keyHead, int firstKey, int count)
    {
        for (int i = 0; i < count; i += Step)
        {
            int step = Math.Min(Step, count - i);
            float* keys = Rows(buffers.Key, _problem.Key, _problem.HeadSize, block, keyHead, firstKey + i, step, out nint stride);
            DotTile<TVector, TOperations>.Multiply(
                block.Rows, step, _problem.HeadSize, block.Queries, _problem.HeadSize, keys, stride, block.Scores + i, _blockKeys);
        }
    }

    private void AddValues(in AttentionBuffers buffers, in Block block, int keyHead, int firstKey, int count)
    {
        for (int i = 0; i < count; i += Step)
        {
            int step = Math.Min(Step, count - i);
            float* values = Rows(buffers.Value, _problem.Value, _problem.ValueHeadSize, block, keyHead, firstKey + i, step, out nint stride);
            AddValues(values, stride, block, i, step);
        }
    }

    // A few keys or values as floats.
    private float* Rows(
        DeviceMemory memory, in TensorLayout layout, int size, in Block block, int keyHead, int firstKey, int count, out nint stride)
    {
        stride = (nint)layout.RowStride;
        long first = layout.Offset(block.Batch, keyHead, block.Sequence.KeyStart + firstKey);
        return ElementRows.Read(
            ElementRows.Address(memory, _problem.Element, first), _problem.Element, ref stride, count, size, block.Converted);
    }

    private void AddValues(float* values, nint stride, in Block block, int firstKey, int count)
    {
        // Wide panels read a row of values from end to end, as the processor's prefetching likes it.
        int wide = RegisterTile<TVector, TOperations>.WideLanes;
        int narrow = RegisterTile<TVector, TOperations>.NarrowLanes;
        for (int column = 0; column < _problem.ValueHeadSize;)
        {
            int left = _problem.ValueHeadSize - column;
            int lanes = left >= wide ? wide : left >= Lanes ? Lanes : narrow;
            float* right = values + column;
            nint rightStride = stride;
            if (left < lanes)
            {
                CopyTail(right, rightStride, left, block.Tail, lanes, count);
                right = block.Tail;
                rightStride = lanes;
            }

            RegisterTile<TVector, TOperations>.Multiply(
                block.Rows, lanes, count, block.Scores + firstKey, _blockKeys, 1, right, rightStride,
                new AddedSums(block.Sums + column, _sumsStride));
            column += lanes;
        }
    }

    private static void CopyTail(float* source, nint stride, int columns, float* target, int lanes, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            var to = new Span<float>(target + (nint)row * lanes, lanes);
            new ReadOnlySpan<float>(source + row * stride, columns).CopyTo(to);
            to[columns..].Clear();
        }
    }

    private void Write(in AttentionBuffers buffers, in Block block, SplitStates? states, int part)
    {
        for (int row = 0; row < block.Rows; row++)
        {
            var sums = new ReadOnlySpan<float>(block.Sums + (nint)row * _sumsStride, _problem.ValueHeadSize);
            int head = Head(block, row);
            int query = Query(block, row);
            if (query >= block.Sequence.QueryLength)
                continue;
            if (states is { } kept)
            {
                float* target = kept.Sums(part, block.Batch, head, query);
                sums.CopyTo(new Span<float>(target, sums.Length));
                kept.Write(target, block.Maxima[row], block.Totals[row]);
                continue;
            }

            query += block.Sequence.QueryStart;
            var state = new OnlineSoftmax { Maximum = block.Maxima[row], Sum = block.Totals[row] };
            TensorPrimitives.Multiply(sums, state.Finish(buffers.SinkOf(_problem, head)), new Span<float>(block.Converted, sums.Length));
            ElementRows.Store(
                block.Converted, ElementRows.Address(buffers.Output, _problem.Element, _problem.Output.Offset(block.Batch, head, query)),
                _problem.Element, sums.Length);
            if (_problem.LogSumExp is { } layout)
                buffers.LogSumExp.Pointer<float>()[layout.Offset(block.Batch, head, query)] = state.LogSumExp;
        }
    }

    /// <summary>Rows of one key/value head, by query head and then query.</summary>
    private struct Block
    {
        /// <summary>The scaled queries: [rows, head size].</summary>
        public float* Queries;

        /// <summary>The outputs so far: [rows, value head size rounded up to lanes].</summary>
        public float* Sums;

        /// <summary>Scores, then weights: [rows, keys].</summary>
        public float* Scores;

        /// <summary>The last columns of the values where they do not fill the lanes: [keys of a step, lanes].</summary>
        public float* Tail;

        /// <summary>Rows that are converted to floats on load, and an output row before it is stored.</summary>
        public float* Converted;

        public Sequence Sequence;
        public float* MaskRow;
        public float* Maxima;
        public float* Totals;
        public int Batch;
        public int FirstHead;
        public int FirstRow;
        public int Rows;
    }
}
