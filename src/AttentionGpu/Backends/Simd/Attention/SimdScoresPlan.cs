using System.Collections.Concurrent;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Attention on the host with its scores, or weights. Once a block of queries has attended to all keys its softmax is known, and the scores are
/// computed again, block by block, and written: half as many operations again, and no memory but the result's where that is float32.
/// </summary>
internal sealed unsafe class SimdScoresPlan<TVector, TOperations>(AttentionProblem problem, int threads) : IPlan<AttentionBuffers>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private static readonly ConcurrentBag<AlignedMemory> _floats = [];

    private readonly QueryBlockKernel<TVector, TOperations> _blocks = new(problem);

    private IdleWork<ScoresWork> _idle;

    private static int Lanes => QueryBlockKernel<TVector, TOperations>.Lanes;

    private bool IsAveraged => problem.Scores == ScoreStage.AverageWeights;

    private long ScoreCount => IsAveraged ? problem.ScoreCount / problem.Heads : problem.ScoreCount;

    private AttentionProblem Problem => problem;

    private int Threads => threads;

    private int QueryBlocks => TileCount.DivideUp(problem.QueryLength, Lanes);

    public void Execute(in AttentionBuffers buffers)
    {
        ScoresWork call = _idle.Take() ?? new ScoresWork(this);
        if (problem.Element == ElementType.Float32)
            call.Execute(buffers, buffers.Scores.Pointer<float>());
        else
            ExecuteConverted(buffers, call);
        _idle.Keep(call);
    }

    private void ExecuteConverted(in AttentionBuffers buffers, ScoresWork call)
    {
        AlignedMemory memory = AlignedMemory.Rent(_floats, Math.Max(1, ScoreCount));
        try
        {
            call.Execute(buffers, memory.Address);
            long rows = problem.KeyLength == 0 ? 0 : ScoreCount / problem.KeyLength;
            for (long row = 0; row < rows; row++)
            {
                long first = row * problem.KeyLength;
                ElementRows.Store(memory.Address + first, ElementRows.Address(buffers.Scores, problem.Element, first), problem.Element, problem.KeyLength);
            }
        }
        finally
        {
            _floats.Add(memory);
        }
    }

    private void Attend(in AttentionBuffers buffers, float* scores, float* memory, int batch, int head, int firstQuery)
    {
        QueryBlock block = _blocks.Begin(buffers, memory, 0, batch, head, firstQuery);
        _blocks.Attend(buffers, block, 0, problem.KeyLength);
        _blocks.WriteOutput(buffers, block);
        if (problem.Scores is ScoreStage.Products or ScoreStage.Softcapped)
            WriteProducts(buffers, block, scores);
        else
            WriteVisible(buffers, block, scores);
    }

    /// <summary>Scores before masks: of all keys, visible or not.</summary>
    private void WriteProducts(in AttentionBuffers buffers, in QueryBlock block, float* scores)
    {
        new Span<float>(block.Factors, block.Lanes).Fill(1f);
        for (int key = 0; key < problem.KeyLength; key += _blocks.BlockKeys)
        {
            var keys = new KeyRange(key, Math.Min(_blocks.BlockKeys, problem.KeyLength - key), 0, false);
            _blocks.ScoreUnmasked(buffers, block, keys, softcapped: problem.Scores == ScoreStage.Softcapped);
            Write(block, keys, scores);
        }
    }

    /// <summary>Scores or weights of the keys that are visible; the others have what a hidden key has.</summary>
    private void WriteVisible(in AttentionBuffers buffers, in QueryBlock block, float* scores)
    {
        bool areWeights = problem.Scores != ScoreStage.Masked;

        // Weights that are averaged are added up, so those of the first head start from zeros.
        if (!IsAveraged || block.Head == 0)
        {
            for (int query = 0; query < block.Queries; query++)
                new Span<float>(Row(scores, block, query), problem.KeyLength).Fill(areWeights ? 0f : float.NegativeInfinity);
        }

        if (!areWeights)
            new Span<float>(block.Factors, block.Lanes).Fill(1f);
        foreach (KeyRange keys in _blocks.Ranges(block, 0, problem.KeyLength))
        {
            MaskEffect effect = _blocks.ReadMask(buffers, block, keys);
            if (effect == MaskEffect.HidesAll || block.Queries <= keys.FirstLane)
                continue;
            _blocks.Score(buffers, block, keys, effect);
            if (areWeights)
                Exponentiate(block, keys);
            Write(block, keys, scores);
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
                TOperations.Store(VectorMath<TVector, TOperations>.ExpOfNonPositive(TOperations.Subtract(TOperations.Load(score), shift)), score);
        }
    }

    private void Write(in QueryBlock block, in KeyRange keys, float* scores)
    {
        int queries = block.Queries - keys.FirstLane;
        float** rows = stackalloc float*[queries];
        for (int query = 0; query < queries; query++)
            rows[query] = IsAveraged ? block.Rows + (nint)query * keys.Count : Row(scores, block, keys.FirstLane + query) + keys.First;
        Panel.Unpack(block.Scores + keys.FirstLane, block.Lanes, rows, queries, keys.Count, block.Factors + keys.FirstLane);
        for (int query = 0; IsAveraged && query < queries; query++)
        {
            var target = new Span<float>(Row(scores, block, keys.FirstLane + query) + keys.First, keys.Count);
            TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(rows[query], keys.Count), 1f / problem.Heads, target, target);
        }
    }

    private float* Row(float* scores, in QueryBlock block, int lane)
    {
        long matrix = IsAveraged ? block.Batch : (long)block.Batch * problem.Heads + block.Head;
        return scores + (matrix * problem.QueryLength + block.FirstQuery + lane) * problem.KeyLength;
    }

    private sealed class ScoresWork(SimdScoresPlan<TVector, TOperations> plan) : WorkspaceWork
    {
        private AttentionBuffers _buffers;
        private float* _scores;

        public void Execute(in AttentionBuffers buffers, float* scores)
        {
            AttentionProblem problem = plan.Problem;
            _buffers = buffers;
            _scores = scores;
            double operations = 2.0 * problem.ScoreCount * (2 * problem.HeadSize + problem.ValueHeadSize);
            long matrices = plan.IsAveraged ? problem.Batch : (long)problem.Batch * problem.Heads;
            Run(matrices * plan.QueryBlocks, plan.Threads, operations);
            _buffers = default;
        }

        protected override long WorkspaceSize => plan._blocks.WorkspaceSize(1);

        protected override void Do(long item, float* memory)
        {
            int firstQuery = (int)(item % plan.QueryBlocks) * Lanes;
            long matrix = item / plan.QueryBlocks;
            int heads = plan.Problem.Heads;
            if (!plan.IsAveraged)
            {
                plan.Attend(_buffers, _scores, memory, (int)(matrix / heads), (int)(matrix % heads), firstQuery);
                return;
            }

            // The heads of a row are added up by one thread, always in the same order.
            for (int head = 0; head < heads; head++)
                plan.Attend(_buffers, _scores, memory, (int)matrix, head, firstQuery);
        }
    }
}
