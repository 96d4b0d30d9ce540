using System.Collections.Concurrent;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Linear;

/// <summary>
/// A linear layer on the host: output columns in the lanes, elements of the input broadcast where they lie. The weight is read in panels,
/// packed when the layer was made or, where it was not, block by block on the way; each is read once for all rows of an item, so a few
/// rows run at the speed of memory. The epilogue adds the bias and writes through the output's map.
/// </summary>
internal sealed unsafe class SimdLinearPlan<TVector, TOperations> : IPlan<LinearBuffers>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int MaxRows = 252;
    private const int ItemsPerThread = 4;

    private static readonly ConcurrentBag<AlignedMemory> _workspaces = [];

    private readonly ConcurrentBag<LinearCall> _calls = [];
    private readonly LinearProblem _problem;
    private readonly int _threads;
    private readonly int _blockDepth;
    private readonly int _blockRows;
    private readonly int _panels;
    private readonly int _rowBlocks;

    public SimdLinearPlan(LinearProblem problem, int threads)
    {
        _problem = problem;
        _threads = threads;

        // Two thirds of L1 for a block of the weight, the rest for the rows that pass by; half of L2 at most for the sums.
        _blockDepth = Math.Max(1, Caches.Level1 * 2 / 3 / (Lanes * sizeof(float)));
        int rows = Math.Clamp(Caches.Level2 / 2 / (Lanes * sizeof(float)), 1, MaxRows);
        _panels = (problem.Columns + Lanes - 1) / Lanes;
        long wanted = ((long)threads * ItemsPerThread + _panels - 1) / _panels;
        _rowBlocks = (int)Math.Max((problem.Rows + rows - 1) / rows, Math.Min(threads == 1 ? 1 : wanted, (problem.Rows + 23) / 24));
        _blockRows = ((problem.Rows + _rowBlocks - 1) / _rowBlocks + 5) / 6 * 6;
        _rowBlocks = (problem.Rows + _blockRows - 1) / _blockRows;
    }

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;

    private long WorkspaceSize => (long)(_blockDepth + _blockRows) * Lanes;

    public void Execute(in LinearBuffers buffers)
    {
        if (!_calls.TryTake(out LinearCall? call))
            call = new LinearCall(this);
        call.Execute(buffers);
        _calls.Add(call);
    }

    private void Multiply(in LinearBuffers buffers, float* memory, int firstRow, int panel)
    {
        int rows = Math.Min(_blockRows, _problem.Rows - firstRow);
        int columns = Math.Min(Lanes, _problem.Columns - panel * Lanes);
        int lanes = columns <= RegisterTile<TVector, TOperations>.NarrowLanes ? RegisterTile<TVector, TOperations>.NarrowLanes : Lanes;
        float* packed = memory;
        float* sums = memory + (nint)_blockDepth * Lanes;
        int parts = (_problem.Depth + _blockDepth - 1) / _blockDepth;
        for (int part = 0; part < parts; part++)
        {
            int depth = (int)((long)_problem.Depth * part / parts);
            int count = (int)((long)_problem.Depth * (part + 1) / parts) - depth;
            float* right = packed;
            if (_problem.IsWeightPacked)
                right = buffers.Weight.Pointer<float>() + (long)panel * Lanes * _problem.Depth + (nint)depth * Lanes;
            else
                PackWeight(buffers, packed, panel * Lanes, columns, lanes, depth, count);
            int stride = _problem.IsWeightPacked ? Lanes : lanes;
            float* left = buffers.Input.Pointer<float>() + (long)firstRow * _problem.Depth + depth;
            if (part == 0)
                RegisterTile<TVector, TOperations>.Multiply(rows, lanes, count, left, _problem.Depth, 1, right, stride, new StoredSums(sums, lanes));
            else
                RegisterTile<TVector, TOperations>.Multiply(rows, lanes, count, left, _problem.Depth, 1, right, stride, new AddedSums(sums, lanes));
        }

        if (parts == 0)
            new Span<float>(sums, rows * lanes).Clear();
        Write(buffers, sums, lanes, firstRow, rows, panel * Lanes, columns);
    }

    private void PackWeight(in LinearBuffers buffers, float* panel, int firstColumn, int columns, int lanes, int depth, int count)
    {
        float** rows = stackalloc float*[columns];
        for (int lane = 0; lane < columns; lane++)
            rows[lane] = buffers.Weight.Pointer<float>() + (long)(firstColumn + lane) * _problem.Depth + depth;
        Panel.Pack(panel, lanes, rows, columns, count, 1f);
    }

    private void Write(in LinearBuffers buffers, float* sums, int lanes, int firstRow, int rows, int firstColumn, int columns)
    {
        if (_problem.HasBias)
            AddBias(buffers.Bias.Pointer<float>() + firstColumn, sums, lanes, rows, columns);
        float* output = buffers.Output.Pointer<float>();
        for (int row = 0; row < rows; row++)
        {
            float* target = output + _problem.Output.Row(firstRow + row);

            // Columns of one head are neighbours.
            for (int column = 0; column < columns;)
            {
                int together = Math.Min(columns - column, _problem.Output.HeadSize - (firstColumn + column) % _problem.Output.HeadSize);
                new ReadOnlySpan<float>(sums + (nint)row * lanes + column, together)
                    .CopyTo(new Span<float>(target + _problem.Output.Column(firstColumn + column), together));
                column += together;
            }
        }
    }

    private static void AddBias(float* bias, float* sums, int lanes, int rows, int columns)
    {
        float* padded = stackalloc float[lanes];
        new ReadOnlySpan<float>(bias, columns).CopyTo(new Span<float>(padded, lanes));
        for (int lane = 0; lane < columns; lane += TOperations.Width)
        {
            TVector vector = TOperations.Load(padded + lane);
            for (int row = 0; row < rows; row++)
            {
                float* sum = sums + (nint)row * lanes + lane;
                TOperations.Store(TOperations.Add(TOperations.Load(sum), vector), sum);
            }
        }
    }

    private sealed class LinearCall(SimdLinearPlan<TVector, TOperations> plan) : ParallelWork
    {
        private LinearBuffers _buffers;

        public void Execute(in LinearBuffers buffers)
        {
            LinearProblem problem = plan._problem;
            _buffers = buffers;
            Run((long)plan._rowBlocks * plan._panels, plan._threads, 2.0 * problem.Rows * problem.Columns * problem.Depth);
        }

        public override void Work()
        {
            AlignedMemory memory = AlignedMemory.Rent(_workspaces, plan.WorkspaceSize);
            try
            {
                // A row block's panels one after the other: its rows stay in L2.
                while (TryTake(out long item))
                    plan.Multiply(_buffers, memory.Address, (int)(item / plan._panels) * plan._blockRows, (int)(item % plan._panels));
            }
            finally
            {
                _workspaces.Add(memory);
            }
        }
    }
}
