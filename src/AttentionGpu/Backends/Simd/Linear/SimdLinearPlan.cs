using System.Collections.Concurrent;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Linear;

/// <summary>
/// A linear layer on the host: output columns in the lanes, elements of the input broadcast where they lie. The weight is read in panels of
/// columns, which are panelled when a layer is made; else once in a call, or on the way where all rows are one block. A block of a panel and a block
/// of rows stay in L2. The last block of depth adds the bias and writes through the output's map.
/// </summary>
internal sealed unsafe class SimdLinearPlan<TVector, TOperations> : IPlan<LinearBuffers>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    /// <summary>Most rows of a block.</summary>
    internal const int MaxRows = 252;

    private const int MinRows = 48;
    private const int ItemsPerThread = 4;

    // Rows of the tallest tile: a block of rows is a multiple.
    private const int TileRows = 6;

    private static readonly ConcurrentBag<AlignedMemory> _panelledWeights = [];

    private readonly LinearProblem _problem;
    private readonly int _threads;
    private readonly int _blockRows;
    private readonly int _panels;
    private readonly int _rowBlocks;

    private IdleWork<LinearWork> _idle;

    public SimdLinearPlan(LinearProblem problem, int threads)
    {
        _problem = problem;
        _threads = threads;

        // Half of L2 for a block of rows.
        _panels = TileCount.DivideUp(problem.Columns, Lanes);
        int rows = Math.Clamp(Caches.Level2 / 2 / (problem.Depth * sizeof(float)), MinRows, MaxRows);
        int blocks = TileCount.DivideUp(problem.Rows, rows);
        int wantedBlocks = TileCount.DivideUp(threads * ItemsPerThread, _panels);
        if (threads > 1 && blocks < wantedBlocks)
            blocks = Math.Clamp(problem.Rows / MinRows, blocks, wantedBlocks);
        _blockRows = TileCount.DivideUp(TileCount.DivideUp(problem.Rows, blocks), TileRows) * TileRows;
        _rowBlocks = TileCount.DivideUp(problem.Rows, _blockRows);
    }

    /// <summary>
    /// The depth of a block of the weight, an eighth of L2: every tile reads it from there. A step of 24 multiply-adds needs four of its
    /// vectors.
    /// </summary>
    internal static readonly int BlockDepth = Math.Max(1, Caches.Level2 / 8 / (Lanes * sizeof(float)));

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;

    private long WorkspaceSize => (long)(BlockDepth + _blockRows) * Lanes;

    public void Execute(in LinearBuffers buffers)
    {
        LinearWork call = _idle.Take() ?? new LinearWork(this);
        call.Execute(buffers);
        _idle.Keep(call);
    }

    /// <param name="buffers">The call's memory.</param>
    /// <param name="panelled">All panels of the weight; null where they are to be panelled on the way.</param>
    /// <param name="memory">A thread's memory.</param>
    /// <param name="firstRow">The first row of the block.</param>
    /// <param name="panel">The number of the panel.</param>
    private void Multiply(in LinearBuffers buffers, float* panelled, float* memory, int firstRow, int panel)
    {
        int rows = Math.Min(_blockRows, _problem.Rows - firstRow);
        float* sums = memory + (nint)BlockDepth * Lanes;
        int parts = TileCount.DivideUp(_problem.Depth, BlockDepth);
        bool isWhole = HasWholePanel(panel * Lanes);
        for (int part = 0; part < parts; part++)
        {
            int depth = (int)((long)_problem.Depth * part / parts);
            int count = (int)((long)_problem.Depth * (part + 1) / parts) - depth;
            float* right = memory;
            if (panelled != null)
                right = panelled + ((long)panel * _problem.Depth + depth) * Lanes;
            else
                PackPanel(buffers, memory, panel, depth, count);
            float* left = buffers.Input.Pointer<float>() + (long)firstRow * _problem.Depth + depth;
            if (part == parts - 1 && isWhole)
                RegisterTile<TVector, TOperations>.Multiply(
                    rows, Lanes, count, left, _problem.Depth, 1, right, Lanes, new MappedSums(
                        _problem.Output, firstRow, buffers.Output.Pointer<float>() + _problem.Output.Column(panel * Lanes),
                        _problem.HasBias ? buffers.Bias.Pointer<float>() + panel * Lanes : null, part == 0 ? null : sums, Lanes));
            else if (part == 0)
                RegisterTile<TVector, TOperations>.Multiply(rows, Lanes, count, left, _problem.Depth, 1, right, Lanes, new StoredSums(sums, Lanes));
            else
                RegisterTile<TVector, TOperations>.Multiply(rows, Lanes, count, left, _problem.Depth, 1, right, Lanes, new AddedSums(sums, Lanes));
        }

        if (!isWhole)
            Write(buffers, sums, firstRow, rows, panel * Lanes);
    }

    // Whether a panel's columns are all there, and neighbours in the output.
    private bool HasWholePanel(int firstColumn) =>
        firstColumn + Lanes <= _problem.Columns && firstColumn % _problem.Output.HeadSize + Lanes <= _problem.Output.HeadSize;

    private void PackPanel(in LinearBuffers buffers, float* target, int panel, int depth, int count)
    {
        int columns = Math.Min(Lanes, _problem.Columns - panel * Lanes);
        float** rows = stackalloc float*[columns];
        for (int lane = 0; lane < columns; lane++)
            rows[lane] = buffers.Weight.Pointer<float>() + (long)(panel * Lanes + lane) * _problem.Depth + depth;
        Panel.Pack(target, Lanes, rows, columns, count, 1f);
    }

    private void Write(in LinearBuffers buffers, float* sums, int firstRow, int rows, int firstColumn)
    {
        int columns = Math.Min(Lanes, _problem.Columns - firstColumn);
        if (_problem.HasBias)
            AddBias(buffers.Bias.Pointer<float>() + firstColumn, sums, rows, columns);
        float* output = buffers.Output.Pointer<float>();
        for (int row = 0; row < rows; row++)
        {
            float* target = output + _problem.Output.Row(firstRow + row);

            // Columns of one head are neighbours.
            for (int column = 0; column < columns;)
            {
                int together = Math.Min(columns - column, _problem.Output.HeadSize - (firstColumn + column) % _problem.Output.HeadSize);
                new ReadOnlySpan<float>(sums + (nint)row * Lanes + column, together)
                    .CopyTo(new Span<float>(target + _problem.Output.Column(firstColumn + column), together));
                column += together;
            }
        }
    }

    private static void AddBias(float* bias, float* sums, int rows, int columns)
    {
        float* padded = stackalloc float[Lanes];
        new ReadOnlySpan<float>(bias, columns).CopyTo(new Span<float>(padded, Lanes));
        for (int lane = 0; lane < columns; lane += TOperations.Width)
        {
            TVector vector = TOperations.Load(padded + lane);
            for (int row = 0; row < rows; row++)
            {
                float* sum = sums + (nint)row * Lanes + lane;
                TOperations.Store(TOperations.Add(TOperations.Load(sum), vector), sum);
            }
        }
    }

    private sealed class LinearWork(SimdLinearPlan<TVector, TOperations> plan) : WorkspaceWork
    {
        private LinearBuffers _buffers;
        private float* _panelled;
        private bool _packing;

        public void Execute(in LinearBuffers buffers)
        {
            _buffers = buffers;
            Execute(plan._problem);
            _buffers = default;
        }

        private void Execute(LinearProblem problem)
        {
            if (problem.IsWeightPanelled || plan._rowBlocks == 1)
            {
                Multiply(problem.IsWeightPanelled ? _buffers.Weight.Pointer<float>() : null);
                return;
            }

            AlignedMemory panelled = AlignedMemory.Rent(_panelledWeights, (long)plan._panels * Lanes * problem.Depth);
            try
            {
                _panelled = panelled.Address;
                _packing = true;
                Run(plan._panels, plan._threads, (double)problem.Columns * problem.Depth);
                Multiply(panelled.Address);
            }
            finally
            {
                _panelledWeights.Add(panelled);
            }
        }

        protected override long WorkspaceSize => _packing ? 0 : plan.WorkspaceSize;

        protected override void Do(long item, float* memory)
        {
            // A row block's panels one after the other: its rows stay in L2.
            if (_packing)
                plan.PackPanel(_buffers, _panelled + item * Lanes * plan._problem.Depth, (int)item, 0, plan._problem.Depth);
            else
                plan.Multiply(_buffers, _panelled, memory, (int)(item / plan._panels) * plan._blockRows, (int)(item % plan._panels));
        }

        private void Multiply(float* panelled)
        {
            LinearProblem problem = plan._problem;
            _panelled = panelled;
            _packing = false;
            Run((long)plan._rowBlocks * plan._panels, plan._threads, 2.0 * problem.Rows * problem.Columns * problem.Depth);
        }
    }
}
