using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
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

    // The processor's own prefetching follows one stream at a time: many keys are read from end to end, then as many values. Their scores
    // stay in L2.
    private const int MaxBlockKeys = 4096;
    private const int MaxScores = 16 << 10;

    // Keys and values that come to L1 (and are converted there) for the first rows, before the next ones take them.
    private const int Step = 16;

    // Keys whose float32 sums are taken into wide ones at once, and more keys than which a call must have. A step's sum rounds to the same
    // side as the next where all are equal: 1/50,000,000 of the sum for each step.
    private const int WidePeriod = 2048;

    // Vectors of weights that are added up by themselves.
    private const int TotalVectors = 32;

    private readonly AttentionContext _context;
    private readonly PreciseRow<TVector, TOperations> _precise;
    private readonly ElementType _element;
    private readonly int _headSize;
    private readonly int _valueSize;
    private readonly int _groupSize;
    private readonly ScoreMask<TVector, TOperations> _mask;
    private readonly ScoreTransform<TVector, TOperations> _transform;
    private readonly int _sumsStride;

    // Of the call.
    private long _preciseOffset;

    public FewQueriesKernel(AttentionContext context, PreciseRow<TVector, TOperations> precise)
    {
        AttentionSignature signature = context.Signature;
        _context = context;
        _precise = precise;
        _element = signature.Element;
        (_headSize, _valueSize, _groupSize) = (signature.HeadSize, signature.ValueHeadSize, signature.GroupSize);
        _mask = new(context);
        _transform = new(context);
        _sumsStride = SumsStride(_valueSize);
    }

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;

    /// <summary>Blocks of rows of a key/value head: its query heads, times the queries.</summary>
    public static int RowBlocks(in AttentionSignature signature, int queryLength) =>
        TileCount.DivideUp(signature.GroupSize * queryLength, MaxRows);

    /// <summary>Floats of a block's memory.</summary>
    public static long WorkspaceSize(in AttentionSignature signature, in AttentionExtent extent)
    {
        bool converts = signature.Element != ElementType.Float32 || signature.KeyValue.Element != KeyValueElement.Float32;
        return MaxRows * (long)(signature.HeadSize + SumsStride(signature.ValueHeadSize) + 2) + MaxScores
            + BlockKeys(signature.GroupSize) + Step * Lanes
            + (converts ? Step : 1) * (long)Math.Max(signature.HeadSize, signature.ValueHeadSize)
            + (IsWide(extent.KeyLength) ? WideSums.Size(MaxRows, SumsStride(signature.ValueHeadSize)) : 0);
    }

    /// <summary>Begins a call.</summary>
    /// <param name="preciseOffset">Where in a thread's memory that of rows which are computed again begins.</param>
    public void Begin(long preciseOffset)
    {
        _preciseOffset = preciseOffset;
    }

    /// <summary>Attends to a range of keys, and writes the outputs, or the states where there are more parts of the keys.</summary>
    public void Attend(
        float* memory, int batch, int keyHead, int rowBlock, int firstKey, int endKey, SplitStates? states, int part)
    {
        Sequence sequence = _context.SequenceOf(batch);
        if (rowBlock * MaxRows >= _groupSize * sequence.QueryLength)
            return;
        Block block = Begin(memory, sequence, batch, keyHead, rowBlock * MaxRows);
        firstKey = Math.Max(firstKey, _context.Bounds.FirstKey(block.Sequence, FirstQuery(block)));
        endKey = Math.Min(endKey, _context.Bounds.EndKey(block.Sequence, LastQuery(block)));

        // Keys that every row sees as they are.
        bool changes = _mask.Exists || _transform.Exists;
        int firstPlain = changes ? int.MaxValue : _context.Bounds.FirstKey(block.Sequence, LastQuery(block));
        int endPlain = _context.Bounds.EndKey(block.Sequence, FirstQuery(block));
        for (int key = firstKey; key < endKey; key += block.Keys)
        {
            int count = Math.Min(block.Keys, endKey - key);
            bool isPlain = key >= firstPlain && key + count <= endPlain;
            Score(block, keyHead, key, count);
            for (int row = 0; row < block.Rows; row++)
            {
                if (!isPlain)
                    Mask(block, row, key, count);
                Weigh(block, row, count);
            }

            AddValues(block, keyHead, key, count);
        }

        if (block.Wide.Exist)
        {
            TakeSums(block);
            block.Wide.Return(block.Sums, block.Totals, _sumsStride);
        }

        Write(memory, block, states, part);
    }

    private Block Begin(float* memory, in Sequence sequence, int batch, int keyHead, int firstRow)
    {
        int rowCount = _groupSize * sequence.QueryLength;
        var block = new Block
        {
            Batch = batch,
            Sequence = sequence,
            FirstHead = keyHead * _groupSize,
            FirstRow = firstRow,
            Rows = Math.Min(MaxRows, rowCount - firstRow),
            Keys = BlockKeys(rowCount),
            Maxima = memory,
            Totals = memory + MaxRows,
            MaskRow = memory + 2 * MaxRows,
        };
        block.Queries = block.MaskRow + block.Keys;
        block.Sums = block.Queries + (nint)MaxRows * _headSize;
        block.Scores = block.Sums + (nint)MaxRows * _sumsStride;
        block.Tail = block.Scores + MaxScores;
        block.Wide = IsWide(sequence.KeyLength) ? WideSums.Begin(block.Tail + Step * Lanes, block.Rows, _sumsStride) : default;
        block.Converted = block.Tail + Step * Lanes + (block.Wide.Exist ? WideSums.Size(MaxRows, _sumsStride) : 0);
        new Span<float>(block.Maxima, block.Rows).Fill(float.NegativeInfinity);
        new Span<float>(block.Totals, block.Rows).Fill(-0f);
        new Span<float>(block.Sums, block.Rows * _sumsStride).Clear();
        for (int row = 0; row < block.Rows; row++)
        {
            int query = block.Sequence.QueryStart + Query(block, row);
            var target = new Span<float>(block.Queries + (nint)row * _headSize, _headSize);
            ElementRows.Load(
                ElementRows.Address(_context.Buffers.Query, _element, _context.Extent.Query.Offset(batch, Head(block, row), query)),
                _element, block.Queries + (nint)row * _headSize, target.Length);
            TensorPrimitives.Multiply(target, _context.Extent.Scale, target);
        }

        return block;
    }

    private static int Head(in Block block, int row) => block.FirstHead + (block.FirstRow + row) / block.Sequence.QueryLength;

    private static int Query(in Block block, int row) => (block.FirstRow + row) % block.Sequence.QueryLength;

    // Rows of more than one head have all of its queries.
    private static bool IsOneHead(in Block block) => Head(block, 0) == Head(block, block.Rows - 1);

    private static int FirstQuery(in Block block) => IsOneHead(block) ? Query(block, 0) : 0;

    private static int LastQuery(in Block block) =>
        IsOneHead(block) ? Query(block, block.Rows - 1) : block.Sequence.QueryLength - 1;

    private void Mask(in Block block, int row, int firstKey, int count)
    {
        float* scores = block.Scores + row * block.Keys;
        int query = Query(block, row);
        if (_transform.Exists)
        {
            int position = query + block.Sequence.DistanceOffset;
            _transform.ApplyRow(block.Batch, Head(block, row), position, firstKey, scores, count);
        }

        if (_mask.Exists)
        {
            _mask.ReadRow(block.Batch, Head(block, row), query, firstKey, count, block.MaskRow);
            ScoreMask<TVector, TOperations>.AddRow(block.MaskRow, scores, count);
        }

        _transform.ApplyOthersToRow(block.Sequence, block.Batch, Head(block, row), query, firstKey, new Span<float>(scores, count));
        int first = Math.Clamp(_context.Bounds.FirstKey(block.Sequence, query) - firstKey, 0, count);
        int end = Math.Clamp(_context.Bounds.EndKey(block.Sequence, query) - firstKey, first, count);
        new Span<float>(scores, first).Fill(float.NegativeInfinity);
        new Span<float>(scores + end, count - end).Fill(float.NegativeInfinity);
    }

    /// <summary>Raises the row's maximum, shrinks its sums where it has risen, and turns its scores into weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Weigh(in Block block, int row, int count)
    {
        float* scores = block.Scores + row * block.Keys;

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
        for (int i = 0; i < padded;)
        {
            TVector sum = TOperations.Zero;
            for (int end = Math.Min(padded, i + TotalVectors * TOperations.Width); i < end; i += TOperations.Width)
            {
                TVector weight =
                    VectorMath<TVector, TOperations>.ExpOfNonPositive(TOperations.Subtract(TOperations.Load(scores + i), shifts));
                sum = TOperations.Add(sum, weight);
                TOperations.Store(weight, scores + i);
            }

            total = TOperations.Add(total, sum);
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

    private void Score(in Block block, int keyHead, int firstKey, int count)
    {
        firstKey += block.Sequence.KeyStart;
        for (int i = 0; i < count;)
        {
            int run = _context.Keys.Read(
                block.Batch, keyHead, firstKey + i, Math.Min(Step, count - i), block.Converted, out float* keys, out nint stride);
            DotTile<TVector, TOperations>.Multiply(
                block.Rows, run, _headSize, block.Queries, _headSize, keys, stride, block.Scores + i, block.Keys);
            i += run;
        }
    }

    private void AddValues(in Block block, int keyHead, int firstKey, int count)
    {
        firstKey += block.Sequence.KeyStart;
        int period = block.Wide.Exist ? WidePeriod : int.MaxValue;
        int taken = 0;
        for (int i = 0; i < count;)
        {
            int run = _context.Values.Read(
                block.Batch, keyHead, firstKey + i, Math.Min(Step, count - i), block.Converted, out float* values, out nint stride);
            AddValues(values, stride, block, i, run);
            i += run;
            if (i - taken < period)
                continue;
            TakeSums(block);
            taken = i;
        }

        if (block.Wide.Exist && block.Wide.Count(count - taken, WidePeriod))
            TakeSums(block);
    }

    private void AddValues(float* values, nint stride, in Block block, int firstKey, int count)
    {
        // Wide panels read a row of values from end to end, as the processor's prefetching likes it.
        int wide = RegisterTile<TVector, TOperations>.WideLanes;
        int narrow = RegisterTile<TVector, TOperations>.NarrowLanes;
        for (int column = 0; column < _valueSize;)
        {
            int left = _valueSize - column;
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
                block.Rows, lanes, count, block.Scores + firstKey, block.Keys, 1, right, rightStride,
                new AddedSums(block.Sums + column, _sumsStride));
            column += lanes;
        }
    }

    private void TakeSums(in Block block) =>
        block.Wide.TakeRows(block.Sums, block.Totals, block.Maxima, _sumsStride);

    private static void CopyTail(float* source, nint stride, int columns, float* target, int lanes, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            var to = new Span<float>(target + (nint)row * lanes, lanes);
            new ReadOnlySpan<float>(source + row * stride, columns).CopyTo(to);
            to[columns..].Clear();
        }
    }

    private void Write(float* memory, in Block block, SplitStates? states, int part)
    {
        for (int row = 0; row < block.Rows; row++)
        {
            var sums = new ReadOnlySpan<float>(block.Sums + (nint)row * _sumsStride, _valueSize);
            int head = Head(block, row);
            int query = Query(block, row);
            if (states is { } kept)
            {
                float* target = kept.Sums(part, block.Batch, head, query);
                sums.CopyTo(new Span<float>(target, sums.Length));
                kept.Write(target, block.Maxima[row], block.Totals[row]);
                continue;
            }

            if (IsDoubtful(block, row))
            {
                _precise.Attend(memory + _preciseOffset, block.Batch, head, query);
                continue;
            }

            query += block.Sequence.QueryStart;
            var state = new OnlineSoftmax { Maximum = block.Maxima[row], Sum = block.Totals[row] };
            TensorPrimitives.Multiply(sums, state.Finish(_context.SinkOf(head)), new Span<float>(block.Converted, sums.Length));
            long first = _context.Extent.Output.Offset(block.Batch, head, query);
            ElementRows.Store(block.Converted, ElementRows.Address(_context.Buffers.Output, _element, first), _element, sums.Length);
            if (_context.Signature.HasLogSumExp)
                _context.Buffers.LogSumExp.Pointer<float>()[_context.Extent.LogSumExp.Offset(block.Batch, head, query)] = state.LogSumExp;
        }
    }

    // -0 stands for a row that has looked at no key.
    private bool IsDoubtful(in Block block, int row) => block.Totals[row] == 0f
        ? !float.IsNegative(block.Totals[row])
        : NonFinite<TVector, TOperations>.IsIn(block.Sums + (nint)row * _sumsStride, _sumsStride);

    private static bool IsWide(int keys) => keys > WidePeriod;

    private static int SumsStride(int valueSize) => TileCount.DivideUp(valueSize, Lanes) * Lanes;

    private static int BlockKeys(int rowCount) => Math.Min(MaxBlockKeys, MaxScores / Math.Min(MaxRows, rowCount) / Lanes * Lanes);

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

        /// <summary>The float64 sums; there are none where the keys are few.</summary>
        public WideSums Wide;

        public Sequence Sequence;
        public float* MaskRow;
        public float* Maxima;
        public float* Totals;
        public int Batch;
        public int FirstHead;
        public int FirstRow;
        public int Rows;

        /// <summary>Most keys at once.</summary>
        public int Keys;
    }
}
