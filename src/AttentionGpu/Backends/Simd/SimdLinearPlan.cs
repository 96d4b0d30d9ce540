using System.Collections.Concurrent;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd;

/// <summary>
/// A linear layer on the host: rows of the input in the lanes, rows of the weight broadcast where they lie, so that the weight needs no
/// packing. The epilogue adds the bias and writes through the output's map; packing reads through the input's.
/// </summary>
internal sealed unsafe class SimdLinearPlan<TVector, TOperations>(LinearProblem problem, int threads) : IPlan<LinearBuffers>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // Up to this many rows the weight is read once, at memory speed; lanes would mostly be empty.
    private const int ThinRows = 8;

    // Columns of an item: packing a panel costs about as much as a few columns.
    private const int ItemColumns = 32 * RegisterTile<TVector, TOperations>.Rows;

    private static readonly ConcurrentBag<AlignedMemory> _workspaces = [];

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;

    private int ColumnItems => (problem.Columns + ItemColumns - 1) / ItemColumns;

    public void Execute(in LinearBuffers buffers)
    {
        LinearBuffers memory = buffers;
        int rowItems = problem.Rows <= ThinRows ? 1 : (problem.Rows + Lanes - 1) / Lanes;
        WorkQueue.Run(
            (long)rowItems * ColumnItems, threads, 2.0 * problem.Rows * problem.Columns * problem.Depth, queue => Work(memory, queue));
    }

    private void Work(in LinearBuffers buffers, WorkQueue queue)
    {
        bool thin = problem.Rows <= ThinRows;
        int packedRows = thin ? problem.Rows : Lanes;
        AlignedMemory memory = AlignedMemory.Rent(
            _workspaces, (long)packedRows * problem.Depth + RegisterTile<TVector, TOperations>.Rows * Lanes);
        try
        {
            int packed = -1;
            while (queue.TryTake(out long item))
            {
                int rowItem = (int)(item / ColumnItems);
                int firstColumn = (int)(item % ColumnItems) * ItemColumns;
                int endColumn = Math.Min(problem.Columns, firstColumn + ItemColumns);
                if (thin)
                {
                    if (packed < 0)
                        Copy(buffers, memory.Address);
                    MultiplyThin(buffers, memory.Address, firstColumn, endColumn);
                }
                else
                {
                    if (packed != rowItem)
                        Pack(buffers, memory.Address, rowItem * Lanes);
                    Multiply(buffers, memory.Address, rowItem * Lanes, firstColumn, endColumn);
                }

                packed = rowItem;
            }
        }
        finally
        {
            _workspaces.Add(memory);
        }
    }

    private void Pack(in LinearBuffers buffers, float* panel, int firstRow)
    {
        int count = Math.Min(Lanes, problem.Rows - firstRow);
        float** rows = stackalloc float*[Lanes];

        // A head at a time: within one, elements are neighbours.
        for (int depth = 0; depth < problem.Depth; depth += problem.Input.HeadSize)
        {
            for (int lane = 0; lane < count; lane++)
                rows[lane] = buffers.Input.Pointer<float>() + problem.Input.Row(firstRow + lane) + problem.Input.Column(depth);
            Panel.Pack(panel + (nint)depth * Lanes, Lanes, rows, count, Math.Min(problem.Input.HeadSize, problem.Depth - depth), 1f);
        }
    }

    private void Multiply(in LinearBuffers buffers, float* panel, int firstRow, int firstColumn, int endColumn)
    {
        const int rows = RegisterTile<TVector, TOperations>.Rows;
        int lanes = Math.Min(Lanes, problem.Rows - firstRow);
        float* weight = buffers.Weight.Pointer<float>();
        float* tile = panel + (nint)Lanes * problem.Depth;
        for (int column = firstColumn; column < endColumn; column += rows)
        {
            int count = Math.Min(rows, endColumn - column);
            RegisterTile<TVector, TOperations>.Multiply(
                problem.Depth, weight + (long)column * problem.Depth, problem.Depth, 1, count, panel, tile, Lanes, null);
            Store(buffers, tile, firstRow, lanes, column, count);
        }
    }

    private void Store(in LinearBuffers buffers, float* tile, int firstRow, int lanes, int column, int count)
    {
        float* bias = buffers.Bias.Pointer<float>();
        float* output = buffers.Output.Pointer<float>();
        long* rows = stackalloc long[Lanes];
        for (int lane = 0; lane < lanes; lane++)
            rows[lane] = problem.Output.Row(firstRow + lane);
        for (int i = 0; i < count; i++)
        {
            float offset = problem.HasBias ? bias[column + i] : 0f;
            float* target = output + problem.Output.Column(column + i);
            for (int lane = 0; lane < lanes; lane++)
                target[rows[lane]] = tile[i * Lanes + lane] + offset;
        }
    }

    private void Copy(in LinearBuffers buffers, float* rows)
    {
        float* input = buffers.Input.Pointer<float>();
        for (int row = 0; row < problem.Rows; row++)
        {
            for (int depth = 0; depth < problem.Depth; depth++)
                rows[(nint)row * problem.Depth + depth] = input[problem.Input.Row(row) + problem.Input.Column(depth)];
        }
    }

    private void MultiplyThin(in LinearBuffers buffers, float* rows, int firstColumn, int endColumn)
    {
        float* weight = buffers.Weight.Pointer<float>();
        float* bias = buffers.Bias.Pointer<float>();
        float* output = buffers.Output.Pointer<float>();
        for (int column = firstColumn; column < endColumn; column++)
        {
            float offset = problem.HasBias ? bias[column] : 0f;
            for (int row = 0; row < problem.Rows; row++)
            {
                float dot = VectorMath<TVector, TOperations>.Dot(
                    rows + (nint)row * problem.Depth, weight + (long)column * problem.Depth, problem.Depth);
                output[problem.Output.Row(row) + problem.Output.Column(column)] = dot + offset;
            }
        }
    }
}
