using System.Collections.Concurrent;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Attention on the host with its weights. Once a block of queries has attended to all keys its softmax is known, and the scores are
/// computed again, block by block, and written as weights: half as many operations again, and no memory but the result's.
/// </summary>
internal sealed unsafe class SimdWeightsPlan<TVector, TOperations>(AttentionProblem problem, int threads) : IPlan<AttentionBuffers>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private readonly ConcurrentBag<WeightsCall> _calls = [];
    private readonly QueryBlockKernel<TVector, TOperations> _blocks = new(problem);

    private static int Lanes => QueryBlockKernel<TVector, TOperations>.Lanes;

    private bool IsAveraged => problem.Weights == WeightsKind.Averaged;

    private AttentionProblem Problem => problem;

    private int Threads => threads;

    private int QueryBlocks => TileCount.DivideUp(problem.QueryLength, Lanes);

    public void Execute(in AttentionBuffers buffers)
    {
        if (!_calls.TryTake(out WeightsCall? call))
            call = new WeightsCall(this);
        call.Execute(buffers);
        _calls.Add(call);
    }

    private void Attend(in AttentionBuffers buffers, float* memory, int batch, int head, int firstQuery)
    {
        QueryBlock block = _blocks.Begin(buffers, memory, 0, batch, head, firstQuery);
        _blocks.Attend(buffers, block, 0, problem.KeyLength);
        _blocks.WriteOutput(buffers, block);

        // Weights that are averaged are added up, so those of the first head start from zeros. What a causal mask hides stays zero.
        if (!IsAveraged || head == 0)
        {
            for (int query = 0; query < block.Queries; query++)
                new Span<float>(Row(buffers, block, query), problem.KeyLength).Clear();
        }

        foreach (KeyRange keys in _blocks.Ranges(block, 0, problem.KeyLength))
        {
            MaskEffect effect = _blocks.ReadMask(buffers, block, keys);
            if (effect == MaskEffect.HidesAll || block.Queries <= keys.FirstLane)
                continue;
            _blocks.Score(buffers, block, keys, effect);
            Exponentiate(block, keys);
            Write(buffers, block, keys);
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

    private void Write(in AttentionBuffers buffers, in QueryBlock block, in KeyRange keys)
    {
        int queries = block.Queries - keys.FirstLane;
        float** rows = stackalloc float*[queries];
        for (int query = 0; query < queries; query++)
            rows[query] = IsAveraged ? block.Rows + (nint)query * keys.Count : Row(buffers, block, keys.FirstLane + query) + keys.First;
        Panel.Unpack(block.Scores + keys.FirstLane, block.Lanes, rows, queries, keys.Count, block.Factors + keys.FirstLane);
        for (int query = 0; IsAveraged && query < queries; query++)
        {
            var target = new Span<float>(Row(buffers, block, keys.FirstLane + query) + keys.First, keys.Count);
            TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(rows[query], keys.Count), 1f / problem.Heads, target, target);
        }
    }

    private float* Row(in AttentionBuffers buffers, in QueryBlock block, int lane)
    {
        long matrix = IsAveraged ? block.Batch : (long)block.Batch * problem.Heads + block.Head;
        return buffers.Weights.Pointer<float>() + (matrix * problem.QueryLength + block.FirstQuery + lane) * problem.KeyLength;
    }

    private sealed class WeightsCall(SimdWeightsPlan<TVector, TOperations> plan) : WorkspaceWork
    {
        private AttentionBuffers _buffers;

        public void Execute(in AttentionBuffers buffers)
        {
            AttentionProblem problem = plan.Problem;
            _buffers = buffers;
            double operations = 2.0 * problem.WeightCount * (2 * problem.HeadSize + problem.ValueHeadSize);
            long matrices = plan.IsAveraged ? problem.Batch : (long)problem.Batch * problem.Heads;
            Run(matrices * plan.QueryBlocks, plan.Threads, operations);
        }

        protected override long WorkspaceSize => plan._blocks.WorkspaceSize(1);

        protected override void Do(long item, float* memory)
        {
            int firstQuery = (int)(item % plan.QueryBlocks) * Lanes;
            long matrix = item / plan.QueryBlocks;
            int heads = plan.Problem.Heads;
            if (!plan.IsAveraged)
            {
                plan.Attend(_buffers, memory, (int)(matrix / heads), (int)(matrix % heads), firstQuery);
                return;
            }

            // The heads of a row are added up by one thread, always in the same order.
            for (int head = 0; head < heads; head++)
                plan.Attend(_buffers, memory, (int)matrix, head, firstQuery);
        }
    }
}
