using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Softmax;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Fused attention of a block of queries: FlashAttention-2's algorithm with queries in the lanes. Scores are computed transposed, a row a
/// key, so the running maximum and sum are plain vector operations, the weights are at once the right operand of the second product, and
/// keys and values are read where they lie, without packing.
/// </summary>
internal sealed unsafe class QueryBlockKernel<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // The head size up to which queries and outputs leave half of L1 to the scores.
    private const int NarrowHead = 64;
    private const int MinBlockKeys = 24;
    private const int MaxBlockKeys = 192;

    private readonly AttentionProblem _problem;
    private readonly ScoreMask<TVector, TOperations> _mask;

    public QueryBlockKernel(AttentionProblem problem)
    {
        _problem = problem;
        _mask = new(problem);
        int share = problem.ValueHeadSize <= NarrowHead ? 2 : 4;
        int keys = Caches.Level1 / share / (Lanes * sizeof(float));
        BlockKeys = Math.Clamp(keys, MinBlockKeys, MaxBlockKeys) & ~1;
    }

    /// <summary>Queries of a block.</summary>
    public static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => RegisterTile<TVector, TOperations>.Lanes;
    }

    /// <summary>Most keys of a block.</summary>
    public int BlockKeys { get; }

    /// <summary>Keys that stay in L2, with their values, while several blocks of queries attend to them in turn.</summary>
    public int ChunkKeys => Math.Max(
        BlockKeys, Caches.Level2 / 2 / ((_problem.HeadSize + _problem.ValueHeadSize) * sizeof(float)) / BlockKeys * BlockKeys);

    /// <summary>Floats of memory for several blocks at once.</summary>
    public long WorkspaceSize(int blocks) => ScratchSize + blocks * StateSize;

    private long StateSize => QueryBlock.StateSize(Lanes, _problem.HeadSize, _problem.ValueHeadSize);

    private long ScratchSize => QueryBlock.ScratchSize(Lanes, BlockKeys, _mask.Exists || _problem.Weights != WeightsKind.None);

    /// <summary>Makes a block of queries ready: its queries packed, and no key seen yet.</summary>
    /// <param name="buffers">The call's memory.</param>
    /// <param name="memory">Memory of <see cref="WorkspaceSize"/> floats.</param>
    /// <param name="slot">The number of the block among those that share the memory.</param>
    /// <param name="batch">The batch entry.</param>
    /// <param name="head">The query head.</param>
    /// <param name="firstQuery">The first query; the block has as many as there are lanes, or what is left.</param>
    public QueryBlock Begin(in AttentionBuffers buffers, float* memory, int slot, int batch, int head, int firstQuery)
    {
        int queries = Math.Min(Lanes, _problem.QueryLength - firstQuery);
        int lanes = queries <= RegisterTile<TVector, TOperations>.NarrowLanes ? RegisterTile<TVector, TOperations>.NarrowLanes : Lanes;
        var block = new QueryBlock { Batch = batch, Head = head, FirstQuery = firstQuery, Queries = queries, Lanes = lanes };
        block.Place(memory + ScratchSize + slot * StateSize, memory, _problem.HeadSize, BlockKeys);
        new Span<float>(block.Maxima, lanes).Fill(float.NegativeInfinity);
        new Span<float>(block.Totals, lanes).Clear();
        new Span<float>(block.Sums, lanes * _problem.ValueHeadSize).Clear();
        float** rows = stackalloc float*[lanes];
        for (int lane = 0; lane < queries; lane++)
            rows[lane] = buffers.Query.Pointer<float>() + _problem.Query.Offset(batch, head, firstQuery + lane);
        Panel.Pack(block.Panel, lanes, rows, queries, _problem.HeadSize, _problem.Scale);
        return block;
    }

    /// <summary>Attends to a range of keys that the block has not seen: its maxima, totals and sums, not divided yet, take them in.</summary>
    public void Attend(in AttentionBuffers buffers, in QueryBlock block, int firstKey, int endKey)
    {
        foreach (KeyRange keys in Ranges(block, firstKey, endKey))
        {
            MaskEffect effect = ReadMask(buffers, block, keys);
            if (effect == MaskEffect.HidesAll)
                continue;
            Buffer.MemoryCopy(block.Maxima, block.OldMaxima, block.Lanes * sizeof(float), block.Lanes * sizeof(float));
            Score(buffers, block, keys, effect);
            Weigh(block, keys);
            AddValues(buffers, block, keys);
        }
    }

    /// <summary>The ranges in which a block goes through its keys.</summary>
    public KeyRanges Ranges(in QueryBlock block, int firstKey, int endKey) =>
        new(_problem, block, firstKey, endKey, BlockKeys, RegisterTile<TVector, TOperations>.NarrowLanes);

    /// <summary>
    /// The scores of a range of keys, masked, and the maxima raised to them. Where nothing is masked the maxima come from the tiles' registers.
    /// </summary>
    public void Score(in AttentionBuffers buffers, in QueryBlock block, in KeyRange keys, MaskEffect effect)
    {
        float* key = buffers.Key.Pointer<float>() + _problem.Key.Offset(block.Batch, block.Head / _problem.GroupSize, keys.First);
        bool isPlain = !keys.IsDiagonal && effect == MaskEffect.None;
        float* maxima = isPlain ? block.Maxima + keys.FirstLane : null;
        RegisterTile<TVector, TOperations>.Multiply(
            keys.Count, block.Lanes - keys.FirstLane, _problem.HeadSize, key, (nint)_problem.Key.RowStride, 1,
            block.Panel + keys.FirstLane, block.Lanes, new StoredSums(block.Scores + keys.FirstLane, block.Lanes, maxima), block.Ahead);
        if (isPlain)
            return;
        if (keys.IsDiagonal)
            HideFuture(block, keys, _problem.CausalOffset!.Value);
        if (effect != MaskEffect.None)
            ScoreMask<TVector, TOperations>.Apply(effect, block, keys.Count);
        RaiseMaxima(block, keys);
    }

    /// <summary>Reads what a mask does to a range of keys, for <see cref="Score"/>.</summary>
    public MaskEffect ReadMask(in AttentionBuffers buffers, in QueryBlock block, in KeyRange keys) =>
        _mask.Read(buffers, block, keys.First, keys.Count);

    /// <summary>Writes the outputs of a block that has attended to all its keys.</summary>
    public void WriteOutput(in AttentionBuffers buffers, in QueryBlock block)
    {
        float** rows = stackalloc float*[block.Lanes];
        for (int lane = 0; lane < block.Queries; lane++)
            rows[lane] = buffers.Output.Pointer<float>() + _problem.Output.Offset(block.Batch, block.Head, block.FirstQuery + lane);
        Normalize(block);
        Panel.Unpack(block.Sums, block.Lanes, rows, block.Queries, _problem.ValueHeadSize, block.Factors);
    }

    /// <summary>Makes <see cref="QueryBlock.Factors"/> what weights are multiplied by at the end.</summary>
    public static void Normalize(in QueryBlock block)
    {
        for (int lane = 0; lane < block.Lanes; lane++)
            block.Factors[lane] = OnlineSoftmax.Reciprocal(block.Totals[lane]);
    }

    private void AddValues(in AttentionBuffers buffers, in QueryBlock block, in KeyRange keys)
    {
        float* value = buffers.Value.Pointer<float>() + _problem.Value.Offset(block.Batch, block.Head / _problem.GroupSize, keys.First);
        RegisterTile<TVector, TOperations>.Multiply(
            _problem.ValueHeadSize, block.Lanes - keys.FirstLane, keys.Count, value, 1, (nint)_problem.Value.RowStride,
            block.Scores + keys.FirstLane, block.Lanes,
            new RescaledSums(block.Sums + keys.FirstLane, block.Lanes, block.Factors + keys.FirstLane), block.Ahead);
    }

    // The diagonal: lane l sees key i of the range where i is at most l + distance.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void HideFuture(in QueryBlock block, in KeyRange keys, long offset)
    {
        long distance = block.FirstQuery + offset - keys.First;
        TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
        for (int i = (int)Math.Max(0, distance + keys.FirstLane + 1); i < keys.Count; i++)
        {
            float* row = block.Scores + (nint)i * block.Lanes;
            for (int lane = keys.FirstLane; lane < block.Lanes && lane < i - distance; lane += TOperations.Width)
            {
                TOperations.Store(
                    TOperations.SelectLess(
                        TOperations.Indices, TOperations.Broadcast(i - distance - lane), hidden, TOperations.Load(row + lane)),
                    row + lane);
            }
        }
    }

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

    /// <summary>Turns a block of scores into weights. A vector of scores: 1 subtraction, 1 exponential (11), 1 addition, 1 load, 1 store.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Weigh(in QueryBlock block, in KeyRange keys)
    {
        TVector lowest = TOperations.Broadcast(float.NegativeInfinity);
        nint lanes = block.Lanes;
        for (int lane = keys.FirstLane; lane < block.Lanes; lane += TOperations.Width)
        {
            TVector maximum = TOperations.Load(block.Maxima + lane);

            // A lane that has seen nothing is shifted by 0: -inf minus -inf is NaN.
            TVector shift = TOperations.SelectLess(lowest, maximum, maximum, TOperations.Zero);
            TVector factor = VectorMath<TVector, TOperations>.ExpOfNonPositive(
                TOperations.Subtract(TOperations.Load(block.OldMaxima + lane), shift));
            TVector sum = TOperations.Multiply(TOperations.Load(block.Totals + lane), factor);
            float* score = block.Scores + lane;
            for (int i = keys.Count; i > 0; i--)
            {
                TVector weight = VectorMath<TVector, TOperations>.ExpOfNonPositive(TOperations.Subtract(TOperations.Load(score), shift));
                sum = TOperations.Add(sum, weight);
                TOperations.Store(weight, score);
                score += lanes;
            }

            TOperations.Store(sum, block.Totals + lane);
            TOperations.Store(factor, block.Factors + lane);
        }
    }
}
