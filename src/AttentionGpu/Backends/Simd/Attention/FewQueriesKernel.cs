using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Stored;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Attention of a few query rows to a part of the keys, as in decoding, where memory is the limit: each key and value is read once, where
/// it lies, for all query heads that share it. Scores are dot products, a row a query; the output's elements are in the lanes. Where more
/// rows share a key the multiply-adds are the limit, and the rows go into the lanes of a <see cref="QueryBlock"/>.
/// </summary>
internal sealed unsafe partial class FewQueriesKernel<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // Most rows whose scores are kept one row after another.
    private const int MaxApart = 32;

    // Most rows that are not put into lanes: two tiles of four.
    private const int MostApart = 8;

    /// <summary>
    /// Keys of a part. The processor's own prefetching follows one stream at a time: all keys of a part are read from end to end, then as
    /// many values, while the scores stay near. Parts of 512 keys took 2 to 7 % longer (Zen 5). Parts of 2,048 took up to 3 % less, but of
    /// 4,096 keys and 8 heads they are 16 only. A part's state costs 1 % of its work, and float32 sums of so many terms are exact enough.
    /// </summary>
    public const int PartKeys = 1024;

    // Rows of scores begin in different sets of L1.
    private const int ScoresStride = PartKeys + 16;

    // Keys and values are asked for so much before they are read; a multiple of the rows of a page. They wait in L1, beside the queries
    // and the scores.
    private const int AheadBytes = 16 << 10;
    private const int MinAheadKeys = 16;

    // Vectors of weights that are added up by themselves.
    private const int TotalVectors = 32;

    private readonly AttentionContext _context;
    private readonly PreciseRow<TVector, TOperations> _precise;
    private readonly QueryBlockKernel<TVector, TOperations> _lanes;
    private readonly ElementType _element;
    private readonly KeyValueElement _stored;
    private readonly int _headSize;
    private readonly int _valueSize;
    private readonly int _groupSize;
    private readonly ScoreMask<TVector, TOperations> _mask;
    private readonly ScoreTransform<TVector, TOperations> _transform;
    private readonly int _sumsStride;
    private readonly int _aheadKeys;
    private readonly float _factor;

    public FewQueriesKernel(AttentionContext context, PreciseRow<TVector, TOperations> precise)
    {
        AttentionSignature signature = context.Signature;
        _context = context;
        _precise = precise;
        (_element, _stored) = (signature.Element, signature.KeyValue.Element);
        (_headSize, _valueSize, _groupSize) = (signature.HeadSize, signature.ValueHeadSize, signature.GroupSize);
        _lanes = new(context);
        _mask = new(context);
        _transform = new(context);
        _sumsStride = SumsStride(_valueSize);
        _factor = StoredProducts<TVector, TOperations>.Factor(_stored);
        int rowBytes = _stored.RowBytes(_headSize);
        _aheadKeys = Math.Clamp(AheadBytes / rowBytes, MinAheadKeys, PartKeys / 2) / MinAheadKeys * MinAheadKeys;
    }

    /// <summary>Most rows of a block.</summary>
    public static int MaxRows { get; } = Math.Max(MaxApart, QueryBlockKernel<TVector, TOperations>.Lanes);

    /// <summary>Blocks of the rows of a key/value head: its query heads, times the queries.</summary>
    public static int RowBlocks(int rows) => TileCount.DivideUp(rows, MaxRows);

    /// <summary>Floats of a block's memory.</summary>
    public static long WorkspaceSize(in AttentionSignature signature) =>
        MaxRows * (long)(signature.HeadSize + SumsStride(signature.ValueHeadSize) + 2) + ThreadWorkspace.RoundUp(signature.ValueHeadSize)
        + Math.Max(ApartSize(signature), QueryBlockKernel<TVector, TOperations>.RowsWorkspaceSize(signature));

    // Of the scores, and of what rows are converted to.
    private static long ApartSize(in AttentionSignature signature)
    {
        int longest = Math.Max(signature.HeadSize, signature.ValueHeadSize);
        return (MaxApart + 1L) * ScoresStride
            + StoredProducts<TVector, TOperations>.RoomSize(signature.KeyValue.Element, longest, MaxApart);
    }

    /// <summary>Attends to a part of the keys, and writes the outputs, or the states where there are more parts of the keys.</summary>
    /// <param name="memory">Memory of <see cref="WorkspaceSize"/>.</param>
    /// <param name="preciseRoom">Memory for rows that are computed again; null where states are kept.</param>
    /// <param name="batch">The batch entry.</param>
    /// <param name="keyHead">The key/value head.</param>
    /// <param name="rowBlock">The block of its rows.</param>
    /// <param name="firstKey">The first key of the part.</param>
    /// <param name="endKey">The key after the last; <see cref="PartKeys"/> further on at most.</param>
    /// <param name="states">The rows' states; null where there are no other keys.</param>
    public void Attend(
        float* memory, float* preciseRoom, int batch, int keyHead, int rowBlock, int firstKey, int endKey, float* states)
    {
        Block block = Begin(memory, batch, keyHead, rowBlock * MaxRows);
        firstKey = Math.Max(firstKey, _context.Bounds.FirstKey(block.Sequence, FirstQuery(block)));
        endKey = Math.Min(endKey, _context.Bounds.EndKey(block.Sequence, LastQuery(block)));
        if (endKey > firstKey)
        {
            bool isPlain = IsPlain(block, firstKey, endKey);
            bool isInLanes = isPlain && block.Rows > MostApart;
            int most = isInLanes ? QueryBlockKernel<TVector, TOperations>.Lanes : MaxApart;
            for (int row = 0; row < block.Rows; row += most)
            {
                Block rows = Part(block, row, Math.Min(most, block.Rows - row));
                if (isInLanes)
                    _lanes.AttendRows(rows.Scores, LaneRowsOf(rows), batch, keyHead, firstKey, endKey);
                else
                    AttendApart(rows, keyHead, firstKey, endKey - firstKey, isPlain);
            }
        }

        if (states == null)
            Write(preciseRoom, block);
        else
            Keep(block, states);
    }

    private void AttendApart(Block block, int keyHead, int firstKey, int count, bool isPlain)
    {
        block.KeyProducts = new(_stored, _headSize, block.Rows, block.Room);
        block.ValueProducts = new(_stored, _valueSize, block.Rows, block.Room);
        Score(block, keyHead, firstKey, count);
        for (int row = 0; row < block.Rows; row++)
        {
            if (!isPlain)
                Mask(block, row, firstKey, count);
            Weigh(block, row, count, _factor);
        }

        AddValues(block, keyHead, firstKey, count);
    }

    // Some of a block's rows.
    private Block Part(Block block, int first, int count)
    {
        block.FirstRow += first;
        block.Rows = count;
        block.Queries += (nint)first * _headSize;
        block.Sums += (nint)first * _sumsStride;
        block.Maxima += first;
        block.Totals += first;
        return block;
    }

    private LaneRows LaneRowsOf(in Block block) => new()
    {
        Queries = block.Queries,
        Factor = 1f / _factor,
        Sums = block.Sums,
        SumsStride = _sumsStride,
        Maxima = block.Maxima,
        Totals = block.Totals,
        Count = block.Rows,
    };

    private Block Begin(float* memory, int batch, int keyHead, int firstRow)
    {
        Sequence sequence = _context.SequenceOf(batch);
        var block = new Block
        {
            Batch = batch,
            Sequence = sequence,
            FirstHead = keyHead * _groupSize,
            FirstRow = firstRow,
            Rows = Math.Min(MaxRows, _groupSize * sequence.QueryLength - firstRow),
            Queries = memory,
        };
        block.Sums = block.Queries + (nint)MaxRows * _headSize;
        block.Maxima = block.Sums + (nint)MaxRows * _sumsStride;
        block.Totals = block.Maxima + MaxRows;
        block.Output = block.Totals + MaxRows;
        block.Scores = block.Output + ThreadWorkspace.RoundUp(_valueSize);
        block.MaskRow = block.Scores + MaxApart * ScoresStride;
        block.Room = block.MaskRow + ScoresStride;
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
            TensorPrimitives.Multiply(target, _context.Extent.Scale * _factor, target);
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

    // Whether every row sees all of the keys as they are.
    private bool IsPlain(in Block block, int firstKey, int endKey) => !_mask.Exists && !_transform.Exists
        && firstKey >= _context.Bounds.FirstKey(block.Sequence, LastQuery(block))
        && endKey <= _context.Bounds.ShownEnd(block.Sequence, FirstQuery(block));

    private void Score(in Block block, int keyHead, int firstKey, int count)
    {
        firstKey += block.Sequence.KeyStart;
        for (int i = 0; i < count;)
        {
            StoredRows keys = _context.Keys.Rows(block.Batch, keyHead, firstKey + i, Math.Min(block.KeyProducts.Step, count - i));
            int ahead = i + _aheadKeys;
            StoredRows next = ahead < count
                ? _context.Keys.Rows(block.Batch, keyHead, firstKey + ahead, Math.Min(keys.Count, count - ahead))
                : FirstValues(block, keyHead, firstKey, count, ahead - count, keys.Count);
            next.PrefetchScales();
            keys = UpTo(next, keys);
            block.KeyProducts.Score(block.Queries, keys, next, block.Scores + i, ScoresStride);
            i += keys.Count;
        }
    }

    // No more rows than there are next ones, which are asked for one with each; all where there are no next ones.
    private static StoredRows UpTo(in StoredRows next, in StoredRows rows) =>
        next.Count == 0 || next.Count >= rows.Count ? rows : rows with { Count = next.Count };

    // The values from a key of the part on, which are read after its keys.
    private StoredRows FirstValues(in Block block, int keyHead, int firstKey, int count, int first, int wanted) => first < count
        ? _context.Values.Rows(block.Batch, keyHead, firstKey + first, Math.Min(wanted, count - first))
        : default;

    private void Mask(in Block block, int row, int firstKey, int count)
    {
        float* scores = block.Scores + row * ScoresStride;
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
        if (_context.Signature.Has(ScoreVariants.Tree))
            PositionMask<TVector, TOperations>.HideOtherBranches(_context, block.Sequence, query, firstKey, end, scores, 1);
    }

    /// <summary>
    /// Turns a row's scores into weights times a factor. A vector of scores: 2 loads, 1 maximum, 1 subtraction, 1 power (13), 1 addition, 1
    /// multiplication, 1 store.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Weigh(in Block block, int row, int count, float factor)
    {
        float* scores = block.Scores + row * ScoresStride;

        // Whole vectors: what is not there weighs nothing.
        int padded = TileCount.DivideUp(count, TOperations.Width) * TOperations.Width;
        new Span<float>(scores + count, padded - count).Fill(float.NegativeInfinity);
        TVector largest = TOperations.Broadcast(float.NegativeInfinity);
        for (int i = 0; i < padded; i += TOperations.Width)
            largest = TOperations.Max(TOperations.Load(scores + i), largest);
        float maximum = TOperations.Largest(largest);

        // A row that has seen nothing is shifted by 0: -inf minus -inf is NaN.
        TVector shifts = TOperations.Broadcast(maximum == float.NegativeInfinity ? 0f : maximum);
        TVector total = TOperations.Zero;
        TVector factors = TOperations.Broadcast(factor);
        for (int i = 0; i < padded;)
        {
            TVector sum = TOperations.Zero;
            for (int end = Math.Min(padded, i + TotalVectors * TOperations.Width); i < end; i += TOperations.Width)
            {
                TVector weight =
                    VectorMath<TVector, TOperations>.ExpOfNonPositive(TOperations.Subtract(TOperations.Load(scores + i), shifts));
                sum = TOperations.Add(sum, weight);
                TOperations.Store(TOperations.Multiply(weight, factors), scores + i);
            }

            total = TOperations.Add(total, sum);
        }

        block.Maxima[row] = maximum;
        block.Totals[row] = TOperations.Sum(total);
    }

    private void AddValues(in Block block, int keyHead, int firstKey, int count)
    {
        firstKey += block.Sequence.KeyStart;
        for (int i = 0; i < count;)
        {
            StoredRows values = _context.Values.Rows(block.Batch, keyHead, firstKey + i, Math.Min(block.ValueProducts.Step, count - i));
            StoredRows next = FirstValues(block, keyHead, firstKey, count, i + _aheadKeys, values.Count);
            next.PrefetchScales();
            values = UpTo(next, values);
            block.ValueProducts.AddValues(block.Scores + i, ScoresStride, values, next, block.Sums, _sumsStride);
            i += values.Count;
        }
    }

    private void Keep(in Block block, float* memory)
    {
        var states = new SplitStates(_valueSize, memory, 0, 1);
        for (int row = 0; row < block.Rows; row++)
        {
            float* target = states.Sums(0, row);
            new ReadOnlySpan<float>(block.Sums + (nint)row * _sumsStride, _valueSize).CopyTo(new Span<float>(target, _valueSize));
            states.Write(target, block.Maxima[row], block.Totals[row]);
        }
    }

    private void Write(float* preciseRoom, in Block block)
    {
        for (int row = 0; row < block.Rows; row++)
        {
            var sums = new ReadOnlySpan<float>(block.Sums + (nint)row * _sumsStride, _valueSize);
            int head = Head(block, row);
            int query = Query(block, row);
            if (IsDoubtful(block, row))
            {
                _precise.Attend(preciseRoom, block.Batch, head, query);
                continue;
            }

            query += block.Sequence.QueryStart;
            var state = new OnlineSoftmax { Maximum = block.Maxima[row], Sum = block.Totals[row] };
            TensorPrimitives.Multiply(sums, state.Finish(_context.SinkOf(head)), new Span<float>(block.Output, sums.Length));
            long first = _context.Extent.Output.Offset(block.Batch, head, query);
            ElementRows.Store(block.Output, ElementRows.Address(_context.Buffers.Output, _element, first), _element, sums.Length);
            if (_context.Signature.HasLogSumExp)
                _context.Buffers.LogSumExp.Pointer<float>()[_context.Extent.LogSumExp.Offset(block.Batch, head, query)] = state.LogSumExp;
        }
    }

    // -0 stands for a row that has looked at no key.
    private bool IsDoubtful(in Block block, int row) => block.Totals[row] == 0f
        ? !float.IsNegative(block.Totals[row])
        : NonFinite<TVector, TOperations>.IsIn(block.Sums + (nint)row * _sumsStride, _sumsStride);

    private static int SumsStride(int valueSize) =>
        TileCount.DivideUp(valueSize, WeightTile<TVector, TOperations>.Lanes) * WeightTile<TVector, TOperations>.Lanes;
}
