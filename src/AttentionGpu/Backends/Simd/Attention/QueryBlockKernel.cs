using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Fused attention of a block of queries: FlashAttention-2's algorithm with queries in the lanes. Scores are computed transposed, a row a
/// key, so the running maximum and sum are plain vector operations, the weights are at once the right operand of the second product, and
/// keys and values are read where they lie, without packing.
/// </summary>
internal sealed unsafe partial class QueryBlockKernel<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // Scores take at most a sixteenth of L2: the tiles read them in order. More keys make the second product's sums longer.
    private const int ScoresShare = 16;
    private const int MinBlockKeys = 24;
    private const int MaxBlockKeys = 192;

    // Keys whose float32 sums are taken into wide ones at once, and more keys than which a call must have. A term of theirs rounds to the
    // same side as the next where all are equal: 1/50,000,000 of the sum for each block of keys, and for each key of a block.
    private const int WidePeriod = 4096;

    private readonly AttentionContext _context;
    private readonly ElementType _element;
    private readonly int _headSize;
    private readonly int _valueSize;
    private readonly bool _needsRows;
    private readonly bool _isBinary;
    private readonly long _scratchSize;
    private readonly ScoreMask<TVector, TOperations> _mask;
    private readonly ScoreTransform<TVector, TOperations> _transform;

    public QueryBlockKernel(AttentionContext context)
    {
        AttentionSignature signature = context.Signature;
        _context = context;
        _mask = new(context);
        _transform = new(context);
        _element = signature.Element;
        (_headSize, _valueSize) = (signature.HeadSize, signature.ValueHeadSize);
        _needsRows = NeedsRows(signature);
        _isBinary = !_needsRows && !_transform.Exists;
        _scratchSize = ScratchSize(signature);
    }

    /// <summary>Queries of a block.</summary>
    public static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => RegisterTile<TVector, TOperations>.Lanes;
    }

    /// <summary>Most keys of a block.</summary>
    public static int BlockKeys { get; } =
        Math.Clamp(Caches.Level2 / ScoresShare / (Lanes * sizeof(float)), MinBlockKeys, MaxBlockKeys) & ~1;

    /// <summary>Keys that stay in L2, with their values, while several blocks of queries attend to them in turn.</summary>
    public static int ChunkKeys(in AttentionSignature signature) =>
        Math.Max(BlockKeys, Caches.Level2 / 2 / ((signature.HeadSize + signature.ValueHeadSize) * sizeof(float)) & ~1);

    /// <summary>Floats of memory for several blocks at once.</summary>
    public static long WorkspaceSize(in AttentionSignature signature, in AttentionExtent extent, int blocks) =>
        ScratchSize(signature)
        + blocks * QueryBlock.StateSize(Lanes, signature.HeadSize, signature.ValueHeadSize, IsWide(extent.KeyLength));

    private static bool IsWide(int keys) => keys > WidePeriod;

    private static bool NeedsRows(in AttentionSignature signature) =>
        ScoreMask<TVector, TOperations>.IsIn(signature) || signature.Scores is not null;

    private static long ScratchSize(in AttentionSignature signature)
    {
        bool converts = signature.Element != ElementType.Float32 || KeyValueView.NeedsRoom(signature.KeyValue);
        return QueryBlock.ScratchSize(
            Lanes, BlockKeys, NeedsRows(signature), converts ? Math.Max(signature.HeadSize, signature.ValueHeadSize) : 0);
    }

    // The natural logarithm of the base whose exponents the scores are.
    private float Logarithm =>
        _isBinary ? BinaryBase<TVector, TOperations>.Logarithm : NaturalBase<TVector, TOperations>.Logarithm;

    /// <summary>Makes a block of queries ready: its queries panelled, and no key seen yet.</summary>
    /// <param name="memory">Memory of <see cref="WorkspaceSize"/> floats.</param>
    /// <param name="slot">The number of the block among those that share the memory.</param>
    /// <param name="batch">The batch entry.</param>
    /// <param name="head">The query head.</param>
    /// <param name="firstQuery">
    /// The first query, of those that the sequence has; the block has as many as there are lanes, or what is left.
    /// </param>
    public QueryBlock Begin(float* memory, int slot, int batch, int head, int firstQuery)
    {
        Sequence sequence = _context.SequenceOf(batch);
        int queries = Math.Min(Lanes, sequence.QueryLength - firstQuery);
        int lanes = queries <= RegisterTile<TVector, TOperations>.NarrowLanes ? RegisterTile<TVector, TOperations>.NarrowLanes : Lanes;
        var block = new QueryBlock
        {
            Batch = batch,
            Head = head,
            Sequence = sequence,
            FirstQuery = firstQuery,
            Queries = queries,
            Lanes = lanes,
        };
        float* states = memory + _scratchSize
            + slot * QueryBlock.StateSize(Lanes, _headSize, _valueSize, IsWide(_context.Extent.KeyLength));
        block.Place(states, memory, _headSize, _valueSize, BlockKeys, _needsRows, IsWide(sequence.KeyLength));
        new Span<float>(block.Maxima, lanes).Fill(float.NegativeInfinity);
        new Span<float>(block.Totals, lanes).Fill(-0f);
        new Span<float>(block.Sums, lanes * _valueSize).Clear();
        ref readonly AttentionExtent extent = ref _context.Extent;
        nint stride = (nint)extent.Query.RowStride;
        float* first = ElementRows.Read(
            ElementRows.Address(_context.Buffers.Query, _element, extent.Query.Offset(batch, head, sequence.QueryStart + firstQuery)),
            _element, ref stride, queries, _headSize, block.Converted);
        float** rows = stackalloc float*[lanes];
        for (int lane = 0; lane < queries; lane++)
            rows[lane] = first + lane * stride;
        Panel.Pack(block.Panel, lanes, rows, queries, _headSize, extent.Scale / Logarithm);
        return block;
    }

    /// <summary>
    /// Attends to a range of keys that the block has not seen: its maxima, totals and sums, not divided yet, take them in.
    /// <see cref="End"/> follows the last range.
    /// </summary>
    public void Attend(in QueryBlock block, int firstKey, int endKey)
    {
        foreach (KeyRange keys in Ranges(block, firstKey, endKey))
        {
            MaskEffect effect = MaskEffectOn(block, keys);
            if (effect == MaskEffect.HidesAll)
                continue;
            Buffer.MemoryCopy(block.Maxima, block.OldMaxima, block.Lanes * sizeof(float), block.Lanes * sizeof(float));
            Score(block, keys, effect);
            if (_isBinary)
                Weigh<BinaryBase<TVector, TOperations>>(block, keys);
            else
                Weigh<NaturalBase<TVector, TOperations>>(block, keys);
            AddValues(block, keys);
            if (block.Wide.Exist && block.Wide.Count(keys.Count, WidePeriod))
                block.Wide.TakePanel(block.Sums, block.Totals, block.Maxima, _valueSize, Logarithm);
        }
    }

    /// <summary>Makes the totals and sums those of all keys that the block has attended to.</summary>
    public void End(in QueryBlock block)
    {
        if (!block.Wide.Exist)
            return;
        block.Wide.TakePanel(block.Sums, block.Totals, block.Maxima, _valueSize, Logarithm);
        block.Wide.Return(block.Sums, block.Totals, _valueSize);
    }

    /// <summary>The ranges in which a block goes through its keys.</summary>
    public KeyRanges Ranges(in QueryBlock block, int firstKey, int endKey) =>
        new(_context.Bounds, block, firstKey, endKey, BlockKeys, RegisterTile<TVector, TOperations>.NarrowLanes);

    /// <summary>
    /// The scores of a range of keys, changed and masked, and the maxima raised to them. Where nothing is changed the maxima come from the
    /// tiles' registers.
    /// </summary>
    public void Score(in QueryBlock block, in KeyRange keys, MaskEffect effect)
    {
        bool isPlain = !keys.IsPartial && effect == MaskEffect.None && !_transform.Exists;
        Multiply(block, keys, isPlain ? block.Maxima + keys.FirstLane : null);
        if (isPlain)
            return;
        _transform.Apply(block, keys);
        if (effect != MaskEffect.None)
            _mask.Apply(effect, block, keys.First, keys.Count);
        _transform.ApplyOthers(block, keys);
        if (keys.IsPartial)
            PositionMask<TVector, TOperations>.Apply(_context, block, keys);
        RaiseMaxima(block, keys);
    }

    /// <summary>The scores of any keys before masks, for those who ask to see them.</summary>
    public void ScoreUnmasked(in QueryBlock block, in KeyRange keys, bool softcapped)
    {
        Multiply(block, keys, null);
        if (softcapped && _context.Signature.Has(ScoreVariants.Softcap))
            _transform.ApplySoftcap(block, keys);
    }

    /// <summary>What the masks do to a range of keys, for <see cref="Score"/>.</summary>
    public MaskEffect MaskEffectOn(in QueryBlock block, in KeyRange keys) =>
        _mask.Effect(block, keys.First, keys.Count);

    /// <summary>
    /// Writes the outputs of a block that has attended to all its keys, and makes <see cref="QueryBlock.Factors"/> what weights are
    /// multiplied by.
    /// </summary>
    /// <returns>The lanes, as bits, that are to be computed again with <see cref="PreciseRow{TVector, TOperations}"/>.</returns>
    public ulong WriteOutput(in QueryBlock block)
    {
        ulong doubtful = Normalize(block);
        long first = block.Sequence.QueryStart + block.FirstQuery;
        TensorLayout layout = _context.Extent.Output;
        byte* output = ElementRows.Address(_context.Buffers.Output, _element, layout.Offset(block.Batch, block.Head, (int)first));
        nint stride = (nint)layout.RowStride;
        bool converts = _element != ElementType.Float32;
        float** rows = stackalloc float*[block.Lanes];
        for (int lane = 0; lane < block.Queries; lane++)
            rows[lane] = converts ? block.Converted + (nint)lane * _valueSize : (float*)output + lane * stride;
        Panel.Unpack(block.Sums, block.Lanes, rows, block.Queries, _valueSize, block.Factors);
        for (int lane = 0; converts && lane < block.Queries; lane++)
            ElementRows.Store(rows[lane], output + lane * stride * _element.Size(), _element, _valueSize);
        return doubtful;
    }

    /// <summary>The running softmax of a lane, in natural units.</summary>
    public OnlineSoftmax State(in QueryBlock block, int lane) =>
        new() { Maximum = block.Maxima[lane] * Logarithm, Sum = block.Totals[lane] };

    // The maxima before the last keys are not needed any more: marks of doubtful lanes are in their place.
    private ulong Normalize(in QueryBlock block)
    {
        float* marks = block.OldMaxima;
        NonFinite<TVector, TOperations>.Mark(block.Sums, block.Lanes, _valueSize, marks);
        ulong doubtful = Invert(block, marks) ? NonFinite<TVector, TOperations>.Marked(marks, block.Queries) : 0;
        if (_context.Signature is { HasSinks: true } or { HasLogSumExp: true })
            EndSoftmax(block);
        return doubtful;
    }

    /// <summary>
    /// Makes the factors 1 / total, or 0 where the total is 0, and marks the lanes that have looked at keys and found none to weigh
    /// anything. A vector of lanes: 1 division, 3 multiply-adds and additions, 2 selections.
    /// </summary>
    /// <returns>Whether any lane is marked.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool Invert(in QueryBlock block, float* marks)
    {
        TVector all = TOperations.Zero;
        for (int lane = 0; lane < block.Lanes; lane += TOperations.Width)
        {
            // 1 / -0 is -inf, and stands for a lane that has looked at no key; 1 / 0 is inf, and inf times 0 the mark.
            TVector inverse = TOperations.Divide(TOperations.Broadcast(1f), TOperations.Load(block.Totals + lane));
            inverse = TOperations.SelectLess(inverse, TOperations.Zero, TOperations.Zero, inverse);
            TVector mark = TOperations.MultiplyAdd(inverse, TOperations.Zero, TOperations.Load(marks + lane));
            TOperations.Store(mark, marks + lane);
            all = TOperations.Add(all, mark);
            TVector infinity = TOperations.Broadcast(float.PositiveInfinity);
            TOperations.Store(TOperations.SelectLess(inverse, infinity, inverse, TOperations.Zero), block.Factors + lane);
        }

        return float.IsNaN(TOperations.Sum(all));
    }

    private void EndSoftmax(in QueryBlock block)
    {
        float sink = _context.SinkOf(block.Head);
        int first = block.Sequence.QueryStart + block.FirstQuery;
        for (int lane = 0; lane < block.Queries; lane++)
        {
            OnlineSoftmax state = State(block, lane);
            block.Factors[lane] = state.Finish(sink);
            if (!_context.Signature.HasLogSumExp)
                continue;
            long row = _context.Extent.LogSumExp.Offset(block.Batch, block.Head, first + lane);
            _context.Buffers.LogSumExp.Pointer<float>()[row] = state.LogSumExp;
        }
    }

    private void Multiply(in QueryBlock block, in KeyRange keys, float* maxima)
    {
        int done = MultiplyRun(block, keys, 0, maxima);

        // Contiguous keys are one run.
        while (done < keys.Count)
            done += MultiplyRun(block, keys, done, maxima);
    }

    // The scores of the keys of one run; returns how many there are.
    private int MultiplyRun(in QueryBlock block, in KeyRange keys, int done, float* maxima)
    {
        int run = _context.Keys.Read(
            block.Batch, block.Head / _context.Signature.GroupSize, block.Sequence.KeyStart + keys.First + done, keys.Count - done,
            block.Converted, out float* key, out nint stride);
        RegisterTile<TVector, TOperations>.Multiply(
            run, block.Lanes - keys.FirstLane, _headSize, key, stride, 1, block.Panel + keys.FirstLane, block.Lanes,
            new StoredSums(block.Scores + (nint)done * block.Lanes + keys.FirstLane, block.Lanes, maxima), block.Ahead);
        return run;
    }

    private void AddValues(in QueryBlock block, in KeyRange keys)
    {
        // The first run of a range shrinks the sums of all keys before.
        int done = ReadValues(block, keys, 0, out float* value, out nint stride);
        RegisterTile<TVector, TOperations>.Multiply(
            _valueSize, block.Lanes - keys.FirstLane, done, value, 1, stride, block.Scores + keys.FirstLane, block.Lanes,
            new RescaledSums(block.Sums + keys.FirstLane, block.Lanes, block.Factors + keys.FirstLane), block.Ahead);
        if (done < keys.Count)
            AddRuns(block, keys, done);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void AddRuns(in QueryBlock block, in KeyRange keys, int done)
    {
        while (done < keys.Count)
        {
            int run = ReadValues(block, keys, done, out float* value, out nint stride);
            RegisterTile<TVector, TOperations>.Multiply(
                _valueSize, block.Lanes - keys.FirstLane, run, value, 1, stride,
                block.Scores + (nint)done * block.Lanes + keys.FirstLane, block.Lanes,
                new AddedSums(block.Sums + keys.FirstLane, block.Lanes), block.Ahead);
            done += run;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int ReadValues(in QueryBlock block, in KeyRange keys, int done, out float* value, out nint stride) => _context.Values.Read(
        block.Batch, block.Head / _context.Signature.GroupSize, block.Sequence.KeyStart + keys.First + done, keys.Count - done,
        block.Converted, out value, out stride);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RaiseMaxima(in QueryBlock block, in KeyRange keys)
    {
        for (int lane = keys.FirstLane; lane < block.Lanes; lane += TOperations.Width)
        {
            TVector maximum = TOperations.Load(block.Maxima + lane);
            float* score = block.Scores + lane;
            for (int i = 0; i < keys.Count; i++, score += block.Lanes)
                maximum = TOperations.Max(TOperations.Load(score), maximum);
            TOperations.Store(maximum, block.Maxima + lane);
        }
    }

    /// <summary>
    /// Turns a block of scores into weights. A vector of scores: 1 subtraction, 1 power (9 or 11), 1 addition, 1 load, 1 store. The weights
    /// of a block are added up by themselves: in a sum of all keys each would be rounded more coarsely than the last.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Weigh<TBase>(in QueryBlock block, in KeyRange keys)
        where TBase : struct, IScoreBase<TVector>
    {
        TVector lowest = TOperations.Broadcast(float.NegativeInfinity);
        nint lanes = block.Lanes;
        for (int lane = keys.FirstLane; lane < block.Lanes; lane += TOperations.Width)
        {
            TVector maximum = TOperations.Load(block.Maxima + lane);

            // A lane that has seen nothing is shifted by 0: -inf minus -inf is NaN.
            TVector shift = TOperations.SelectLess(lowest, maximum, maximum, TOperations.Zero);
            TVector factor = TBase.Power(TOperations.Subtract(TOperations.Load(block.OldMaxima + lane), shift));
            TVector sum = TOperations.Zero;
            float* score = block.Scores + lane;
            for (int i = keys.Count; i > 0; i--)
            {
                TVector weight = TBase.Power(TOperations.Subtract(TOperations.Load(score), shift));
                sum = TOperations.Add(sum, weight);
                TOperations.Store(weight, score);
                score += lanes;
            }

            TOperations.Store(TOperations.MultiplyAdd(TOperations.Load(block.Totals + lane), factor, sum), block.Totals + lane);
            TOperations.Store(factor, block.Factors + lane);
        }
    }
}
