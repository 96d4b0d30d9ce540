using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd;

/// <summary>
/// Fused attention on the host: FlashAttention-2's algorithm with queries in the lanes. Scores are computed transposed, a row a key, so the
/// running maximum and sum are plain vector operations, the weights are at once the right operand of the second product, and keys and
/// values are read where they lie, without packing.
/// </summary>
internal sealed unsafe class SimdAttentionPlan<TVector, TOperations>(AttentionProblem problem, int threads) : IPlan<AttentionBuffers>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // Multiples of the register tile's rows. With 64 lanes the scores take 24 KiB of L1, or 12 KiB where heads are wide and take more.
    private const int NarrowBlockKeys = 96;
    private const int WideBlockKeys = 48;
    private const int NarrowHead = 64;

    private static readonly ConcurrentBag<AlignedMemory> _workspaces = [];

    private static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => RegisterTile<TVector, TOperations>.Lanes;
    }

    private int BlockKeys => problem.ValueHeadSize <= NarrowHead ? NarrowBlockKeys : WideBlockKeys;

    private int QueryBlocks => (problem.QueryLength + Lanes - 1) / Lanes;

    public void Execute(in AttentionBuffers buffers)
    {
        AttentionBuffers memory = buffers;
        double pairs = (double)problem.Batch * problem.Heads * problem.QueryLength * problem.KeyLength;
        WorkQueue.Run(
            (long)problem.Batch * problem.Heads * QueryBlocks,
            threads,
            2.0 * pairs * (problem.HeadSize + problem.ValueHeadSize),
            queue => Work(memory, queue));
    }

    private void Work(in AttentionBuffers buffers, WorkQueue queue)
    {
        long panel = (long)problem.HeadSize * Lanes;
        long sums = (long)problem.ValueHeadSize * Lanes;
        AlignedMemory memory = AlignedMemory.Rent(_workspaces, panel + sums + (BlockKeys + 3) * Lanes);
        try
        {
            var block = new QueryBlock
            {
                Panel = memory.Address,
                Sums = memory.Address + panel,
                Scores = memory.Address + panel + sums,
                Maxima = memory.Address + panel + sums + BlockKeys * Lanes,
                Totals = memory.Address + panel + sums + (BlockKeys + 1) * Lanes,
                Factors = memory.Address + panel + sums + (BlockKeys + 2) * Lanes,
            };
            while (queue.TryTake(out long item))
            {
                int matrix = (int)(item / QueryBlocks);
                block.Batch = matrix / problem.Heads;
                block.Head = matrix % problem.Heads;

                // Late queries see the most keys under a causal mask: they go first, so that no thread is left with a long one.
                block.FirstQuery = (QueryBlocks - 1 - (int)(item % QueryBlocks)) * Lanes;
                block.Queries = Math.Min(Lanes, problem.QueryLength - block.FirstQuery);
                Attend(buffers, block);
            }
        }
        finally
        {
            _workspaces.Add(memory);
        }
    }

    private void Attend(in AttentionBuffers buffers, QueryBlock block)
    {
        int keyHead = block.Head / problem.GroupSize;
        float* keys = buffers.Key.Pointer<float>() + problem.Key.Offset(block.Batch, keyHead, 0);
        float* values = buffers.Value.Pointer<float>() + problem.Value.Offset(block.Batch, keyHead, 0);
        PackQueries(buffers, block);
        for (int lane = 0; lane < Lanes; lane++)
        {
            block.Maxima[lane] = float.NegativeInfinity;
            block.Totals[lane] = 0f;
        }

        int endKey = EndKey(block);
        for (int firstKey = 0; firstKey < endKey; firstKey += BlockKeys)
        {
            int count = Math.Min(BlockKeys, endKey - firstKey);
            for (int i = 0; i < count; i += RegisterTile<TVector, TOperations>.Rows)
            {
                RegisterTile<TVector, TOperations>.Multiply(
                    problem.HeadSize, keys + (firstKey + i) * problem.Key.RowStride, (nint)problem.Key.RowStride, 1,
                    Math.Min(RegisterTile<TVector, TOperations>.Rows, count - i), block.Panel, block.Scores + i * Lanes, Lanes, null);
            }

            Mask(buffers, block, firstKey, count);
            Softmax(block, count);
            for (int i = 0; i < problem.ValueHeadSize; i += RegisterTile<TVector, TOperations>.Rows)
            {
                RegisterTile<TVector, TOperations>.Multiply(
                    count, values + firstKey * problem.Value.RowStride + i, 1, (nint)problem.Value.RowStride,
                    Math.Min(RegisterTile<TVector, TOperations>.Rows, problem.ValueHeadSize - i), block.Scores, block.Sums + i * Lanes, Lanes,
                    firstKey == 0 ? null : block.Factors);
            }
        }

        WriteOutput(buffers, block);
    }

    private void PackQueries(in AttentionBuffers buffers, QueryBlock block)
    {
        float** rows = stackalloc float*[Lanes];
        for (int lane = 0; lane < block.Queries; lane++)
            rows[lane] = buffers.Query.Pointer<float>() + problem.Query.Offset(block.Batch, block.Head, block.FirstQuery + lane);
        Panel.Pack(block.Panel, Lanes, rows, block.Queries, problem.HeadSize, problem.Scale);
    }

    private int EndKey(QueryBlock block)
    {
        if (problem.CausalOffset is not int offset)
            return problem.KeyLength;
        long end = (long)block.FirstQuery + block.Queries + offset;
        return (int)Math.Clamp(end, 0, problem.KeyLength);
    }

    private void Mask(in AttentionBuffers buffers, QueryBlock block, int firstKey, int count)
    {
        // The diagonal: lane l sees key i of the block where i is at most l + distance.
        if (problem.CausalOffset is int offset && (long)firstKey + count - 1 > (long)block.FirstQuery + offset)
        {
            long distance = (long)block.FirstQuery + offset - firstKey;
            TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
            for (int i = (int)Math.Max(0, distance + 1); i < count; i++)
            {
                float* row = block.Scores + i * Lanes;
                for (int lane = 0; lane < Lanes; lane += TOperations.Width)
                {
                    TOperations.Store(
                        TOperations.SelectLess(
                            TOperations.Indices, TOperations.Broadcast(i - distance - lane), hidden, TOperations.Load(row + lane)),
                        row + lane);
                }
            }
        }

        if (problem.Mask.Kind != MaskKind.None || problem.HasKeyPadding)
            ApplyData(buffers, block, firstKey, count);
    }

    private void ApplyData(in AttentionBuffers buffers, QueryBlock block, int firstKey, int count)
    {
        for (int i = 0; i < count; i++)
        {
            float* row = block.Scores + i * Lanes;
            if (problem.HasKeyPadding && buffers.KeyPadding.Pointer<byte>()[(long)block.Batch * problem.KeyLength + firstKey + i] != 0)
            {
                new Span<float>(row, Lanes).Fill(float.NegativeInfinity);
                continue;
            }

            long first = problem.Mask.Offset(block.Batch, block.Head, block.FirstQuery, firstKey + i);
            if (problem.Mask.Kind == MaskKind.Boolean)
            {
                byte* visible = buffers.Mask.Pointer<byte>() + first;
                for (int lane = 0; lane < block.Queries; lane++)
                    row[lane] = visible[lane * problem.Mask.Query] != 0 ? row[lane] : float.NegativeInfinity;
            }
            else if (problem.Mask.Kind == MaskKind.Additive)
            {
                float* bias = buffers.Mask.Pointer<float>() + first;
                for (int lane = 0; lane < block.Queries; lane++)
                    row[lane] += bias[lane * problem.Mask.Query];
            }
        }
    }

    /// <summary>Turns a block of scores into weights. A vector of scores: 1 maximum, then 1 subtraction, 1 exponential (13), 1 addition.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Softmax(QueryBlock block, int count)
    {
        TVector lowest = TOperations.Broadcast(float.NegativeInfinity);
        for (int lane = 0; lane < Lanes; lane += TOperations.Width)
        {
            float* column = block.Scores + lane;
            float* end = column + (nint)count * Lanes;
            TVector old = TOperations.Load(block.Maxima + lane);
            TVector maximum = old;
            for (float* score = column; score < end; score += Lanes)
                maximum = TOperations.Max(TOperations.Load(score), maximum);
            TOperations.Store(maximum, block.Maxima + lane);

            // A lane that has seen nothing is shifted by 0: -inf minus -inf is NaN.
            TVector shift = TOperations.SelectLess(lowest, maximum, maximum, TOperations.Zero);
            TVector factor = VectorMath<TVector, TOperations>.ExpOfNonPositive(TOperations.Subtract(old, shift));
            TVector sum = TOperations.Multiply(TOperations.Load(block.Totals + lane), factor);
            for (float* score = column; score < end; score += Lanes)
            {
                TVector weight = VectorMath<TVector, TOperations>.ExpOfNonPositive(TOperations.Subtract(TOperations.Load(score), shift));
                sum = TOperations.Add(sum, weight);
                TOperations.Store(weight, score);
            }

            TOperations.Store(sum, block.Totals + lane);
            TOperations.Store(factor, block.Factors + lane);
        }
    }

    private void WriteOutput(in AttentionBuffers buffers, QueryBlock block)
    {
        float** rows = stackalloc float*[Lanes];
        bool anyKey = EndKey(block) > 0;
        for (int lane = 0; lane < block.Queries; lane++)
        {
            rows[lane] = buffers.Output.Pointer<float>() + problem.Output.Offset(block.Batch, block.Head, block.FirstQuery + lane);
            block.Factors[lane] = block.Totals[lane] == 0f ? 0f : 1f / block.Totals[lane];
            if (!anyKey)
                new Span<float>(rows[lane], problem.ValueHeadSize).Clear();
        }

        if (anyKey)
            Panel.Unpack(block.Sums, Lanes, rows, block.Queries, problem.ValueHeadSize, block.Factors);
    }

    /// <summary>A block of queries and its memory.</summary>
    private struct QueryBlock
    {
        /// <summary>The scaled queries: [head size, lanes].</summary>
        public float* Panel;

        /// <summary>The outputs so far, transposed: [value head size, lanes].</summary>
        public float* Sums;

        /// <summary>Scores, then weights, of a block of keys: [keys, lanes].</summary>
        public float* Scores;

        /// <summary>The largest score of each lane.</summary>
        public float* Maxima;

        /// <summary>The sum of the weights of each lane.</summary>
        public float* Totals;

        /// <summary>By how much a block of keys shrinks what came before.</summary>
        public float* Factors;

        public int Batch;
        public int Head;
        public int FirstQuery;
        public int Queries;
    }
}
