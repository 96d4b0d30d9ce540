using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// The blocks of queries of a call of attention with scores. Once a block has attended to all keys its softmax is known, and the scores are
/// computed again, range by range, and written: half as many operations again. Scores of 16 bits are rounded range by range; only averages
/// of 16 bits are kept as floats, for the rows of a block.
/// </summary>
internal sealed unsafe class ScoresWork<TVector, TOperations> : WorkspaceWork
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private readonly AttentionContext _context;
    private readonly QueryBlockKernel<TVector, TOperations> _blocks;
    private readonly PreciseRow<TVector, TOperations> _precise;
    private readonly ElementType _element;
    private readonly ScoreStage _stage;

    public ScoresWork(in AttentionSignature signature, int longestRun)
    {
        _context = new AttentionContext(signature, longestRun);
        _blocks = new(_context);
        _precise = new(_context);
        _element = signature.Element;
        _stage = signature.Scores!.Value;
    }

    private static int Lanes => QueryBlockKernel<TVector, TOperations>.Lanes;

    private static int BlockKeys => QueryBlockKernel<TVector, TOperations>.BlockKeys;

    private bool IsAveraged => _stage == ScoreStage.AverageWeights;

    private int QueryBlocks => TileCount.DivideUp(_context.Extent.QueryLength, Lanes);

    /// <summary>Items of a call: blocks of queries, with all heads where weights are averaged.</summary>
    public static long Items(in AttentionSignature signature, in AttentionExtent extent) =>
        (signature.Scores == ScoreStage.AverageWeights ? 1L : extent.Heads) * extent.Batch * TileCount.DivideUp(extent.QueryLength, Lanes);

    /// <summary>Operations of a call.</summary>
    public static double Operations(in AttentionSignature signature, in AttentionExtent extent) =>
        2.0 * extent.ScoreCount * (2 * signature.HeadSize + signature.ValueHeadSize);

    /// <summary>Floats of a thread.</summary>
    public static long SlotSize(in AttentionSignature signature, in AttentionExtent extent) =>
        PreciseOffset(signature, extent) + PreciseRow<TVector, TOperations>.Size(signature);

    public void Execute(in ThreadWorkspace workspace, in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory memory)
    {
        _context.Begin(extent, buffers);
        Take(workspace, workspace.In(memory));
        Run(Items(_context.Signature, extent), Operations(_context.Signature, extent));
        _context.End();
    }

    protected override void Do(long item, float* memory)
    {
        int firstQuery = (int)(item % QueryBlocks) * Lanes;
        int matrix = (int)(item / QueryBlocks);
        int heads = _context.Extent.Heads;
        if (!IsAveraged)
        {
            Attend(memory, null, matrix / heads, matrix % heads, firstQuery);
            return;
        }

        // The heads of a row are added up by one thread, always in the same order.
        int queries = Math.Min(Lanes, _context.Extent.QueryLength - firstQuery);
        int keys = _context.Extent.KeyLength;
        long first = ((long)matrix * _context.Extent.QueryLength + firstQuery) * keys;
        float* sums = _element == ElementType.Float32
            ? _context.Buffers.Scores.Pointer<float>() + first
            : memory + BlockSize(_context.Signature, _context.Extent);
        for (int query = 0; query < queries; query++)
            new Span<float>(sums + (nint)query * keys, keys).Clear();
        for (int head = 0; head < heads; head++)
            Attend(memory, sums, matrix, head, firstQuery);
        for (int query = 0; _element != ElementType.Float32 && query < queries; query++)
            ElementRows.Store(sums + (nint)query * keys, Score(first + (long)query * keys), _element, keys);
    }

    private static long BlockSize(in AttentionSignature signature, in AttentionExtent extent) =>
        ThreadWorkspace.RoundUp(QueryBlockKernel<TVector, TOperations>.WorkspaceSize(signature, extent, 1));

    // Where in a thread's memory that of rows which are computed again begins: after the block, and averages of 16 bits.
    private static long PreciseOffset(in AttentionSignature signature, in AttentionExtent extent)
    {
        bool hasAverages = signature is { Scores: ScoreStage.AverageWeights, Element: not ElementType.Float32 };
        return BlockSize(signature, extent) + (hasAverages ? ThreadWorkspace.RoundUp((long)Lanes * extent.KeyLength) : 0);
    }

    private void Attend(float* memory, float* sums, int batch, int head, int firstQuery)
    {
        QueryBlock block = _blocks.Begin(memory, 0, batch, head, firstQuery);
        _blocks.Attend(block, 0, _context.Extent.KeyLength);
        _blocks.End(block);
        ulong doubtful = _blocks.WriteOutput(block);
        if (_stage is ScoreStage.Products or ScoreStage.Softcapped)
            doubtful |= WriteProducts(block);
        else
            WriteVisible(block, sums, doubtful);
        Correct(memory + PreciseOffset(_context.Signature, _context.Extent), sums, block, doubtful);
    }

    /// <summary>Computes the outputs and the scores of doubtful lanes again.</summary>
    private void Correct(float* memory, float* sums, in QueryBlock block, ulong doubtful)
    {
        for (; doubtful != 0; doubtful &= doubtful - 1)
        {
            int lane = BitOperations.TrailingZeroCount(doubtful);
            int query = block.FirstQuery + lane;
            var state = _precise.Attend(memory, block.Batch, block.Head, query);
            if (IsAveraged)
            {
                float* target = sums + (nint)lane * _context.Extent.KeyLength;
                _precise.AddWeights(memory, block.Batch, block.Head, query, state, 1.0 / _context.Extent.Heads, target);
            }
            else
            {
                _precise.WriteScores(memory, block.Batch, block.Head, query, state, Row(block, lane));
            }
        }
    }

    /// <summary>Scores before masks: of all keys, visible or not.</summary>
    /// <returns>The lanes, as bits, with a score that is not finite.</returns>
    private ulong WriteProducts(in QueryBlock block)
    {
        ulong doubtful = 0;
        new Span<float>(block.Factors, block.Lanes).Fill(1f);
        for (int key = 0; key < _context.Extent.KeyLength; key += BlockKeys)
        {
            var keys = new KeyRange(key, Math.Min(BlockKeys, _context.Extent.KeyLength - key), 0, false);
            _blocks.ScoreUnmasked(block, keys, softcapped: _stage == ScoreStage.Softcapped);
            Write(block, keys);
            NonFinite<TVector, TOperations>.Mark(block.Scores, block.Lanes, keys.Count, block.OldMaxima);
            doubtful |= NonFinite<TVector, TOperations>.Marked(block.OldMaxima, block.Queries);
        }

        return doubtful;
    }

    /// <summary>Scores or weights of the keys that are visible; the others have what a hidden key has.</summary>
    private void WriteVisible(in QueryBlock block, float* sums, ulong doubtful)
    {
        bool areWeights = _stage != ScoreStage.Masked;
        for (int query = 0; !IsAveraged && query < block.Queries; query++)
            ElementRows.Fill(Row(block, query), _element, _context.Extent.KeyLength, areWeights ? 0f : float.NegativeInfinity);
        if (!areWeights)
            new Span<float>(block.Factors, block.Lanes).Fill(1f);
        foreach (KeyRange keys in _blocks.Ranges(block, 0, _context.Extent.KeyLength))
        {
            MaskEffect effect = _blocks.MaskEffectOn(block, keys);
            if (effect == MaskEffect.HidesAll || block.Queries <= keys.FirstLane)
                continue;
            _blocks.Score(block, keys, effect);
            if (areWeights)
                Exponentiate(block, keys);
            if (IsAveraged)
                Add(block, keys, sums, doubtful);
            else
                Write(block, keys);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Exponentiate(in QueryBlock block, in KeyRange keys)
    {
        TVector lowest = TOperations.Broadcast(float.NegativeInfinity);
        for (int lane = keys.FirstLane; lane < block.Lanes; lane += TOperations.Width)
        {
            TVector maximum = TOperations.Load(block.Maxima + lane);
            TVector shift = TOperations.SelectLess(lowest, maximum, maximum, TOperations.Zero);
            float* score = block.Scores + lane;
            for (int i = keys.Count; i > 0; i--, score += block.Lanes)
            {
                TVector shifted = TOperations.Subtract(TOperations.Load(score), shift);
                TOperations.Store(VectorMath<TVector, TOperations>.ExpOfNonPositive(shifted), score);
            }
        }
    }

    /// <summary>Writes a range of scores, times the lanes' factors.</summary>
    private void Write(in QueryBlock block, in KeyRange keys)
    {
        bool converts = _element != ElementType.Float32;
        int queries = block.Queries - keys.FirstLane;
        float** rows = stackalloc float*[queries];
        for (int query = 0; query < queries; query++)
            rows[query] = converts ? block.Rows + (nint)query * keys.Count : (float*)Row(block, keys.FirstLane + query) + keys.First;
        Panel.Unpack(block.Scores + keys.FirstLane, block.Lanes, rows, queries, keys.Count, block.Factors + keys.FirstLane);
        for (int query = 0; converts && query < queries; query++)
            ElementRows.Store(rows[query], Row(block, keys.FirstLane + query) + keys.First * _element.Size(), _element, keys.Count);
    }

    /// <summary>Adds a head's share of a range of weights to the rows of a block, doubtful ones apart.</summary>
    private void Add(in QueryBlock block, in KeyRange keys, float* sums, ulong doubtful)
    {
        int queries = block.Queries - keys.FirstLane;
        float** rows = stackalloc float*[queries];
        for (int query = 0; query < queries; query++)
            rows[query] = block.Rows + (nint)query * keys.Count;
        Panel.Unpack(block.Scores + keys.FirstLane, block.Lanes, rows, queries, keys.Count, block.Factors + keys.FirstLane);
        for (int query = 0; query < queries; query++)
        {
            if ((doubtful >> (keys.FirstLane + query) & 1) != 0)
                continue;
            float* sum = sums + (nint)(keys.FirstLane + query) * _context.Extent.KeyLength + keys.First;
            var target = new Span<float>(sum, keys.Count);
            TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(rows[query], keys.Count), 1f / _context.Extent.Heads, target, target);
        }
    }

    private byte* Row(in QueryBlock block, int lane)
    {
        long matrix = (long)block.Batch * _context.Extent.Heads + block.Head;
        return Score((matrix * _context.Extent.QueryLength + block.FirstQuery + lane) * _context.Extent.KeyLength);
    }

    private byte* Score(long element) => ElementRows.Address(_context.Buffers.Scores, _element, element);
}
