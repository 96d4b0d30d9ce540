using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Kernels.Tiled.Matmul;

/// <summary>The matrix product of the projections, and of attention when its weights are asked for.</summary>
public static class MatmulKernel
{
    // On a multiprocessor of 65,536 registers, which leaves 102 to a thread.
    private const int ResidentThreads = 640;

    /// <summary>Limits registers, so that ten groups of 64 threads are resident, or two of 256.</summary>
    /// <param name="threads">Threads in a group.</param>
    public static KernelSpecialization Specialization(int threads) => new(threads, ResidentThreads / threads);

    /// <summary>Columns of the result that a group of <typeparamref name="TTile"/> computes.</summary>
    public static int TileColumns<TTile>()
        where TTile : struct, ITile => 4 * TTile.ColumnThreads * FragmentPair<Fragment8x4>.Groups;

    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount<TTile>(MatmulArguments shape, int matrices)
        where TTile : struct, ITile =>
        (long)matrices
        * TileCount.DivideUp(shape.Rows, ThreadPosition<TTile>.TileRows)
        * TileCount.DivideUp(shape.Columns, TileColumns<TTile>());

    /// <summary>
    /// <c>result = epilogue(left * right^T)</c> for a batch of matrices; one group of threads a tile of the result, 8 x 8 elements a
    /// thread.
    /// </summary>
    /// <remarks>
    /// The inner loop, per thread and step of depth: 64 multiply-adds, 4 loads of 16 bytes from shared memory (16 multiply-adds a
    /// load), 64 accumulators and 16 operands in registers. Global traffic per tile and step: one element a row and a column.
    /// </remarks>
    public static void Multiply<TTile, TLeft, TRight, TOutput, TResult, TEpilogue>(
        MatmulArguments shape, TLeft left, TRight right, ArrayView<TOutput> result, TResult resultLayout, TEpilogue epilogue)
        where TTile : struct, ITile
        where TLeft : struct, IMatrixRows
        where TRight : struct, IMatrixRows
        where TOutput : unmanaged, IElement<TOutput>
        where TResult : struct, IMatrixLayout
        where TEpilogue : struct, IEpilogue
    {
        int groups = FragmentPair<Fragment8x4>.Groups;
        int columnPitch = groups * TTile.ColumnThreads + 1;
        int tileColumns = 4 * groups * TTile.ColumnThreads;
        int rowPitch = ThreadPosition<TTile>.RowPitch;
        ArrayView<Float4> leftPanel = SharedMemory.Allocate<Float4>(TTile.Depth * ThreadPosition<TTile>.RowPitch);
        ArrayView<Float4> rightPanel =
            SharedMemory.Allocate<Float4>(TTile.Depth * (FragmentPair<Fragment8x4>.Groups * TTile.ColumnThreads + 1));

        int columnTiles = TileCount.DivideUp(shape.Columns, tileColumns);
        int rowTiles = TileCount.DivideUp(shape.Rows, ThreadPosition<TTile>.TileRows);
        var place = new GroupPlace(columnTiles, rowTiles);
        int firstColumn = place.Column * tileColumns;
        int firstRow = place.Row * ThreadPosition<TTile>.TileRows;

        // As in GroupPlace: the divisions by heads stay in the branch.
        long leftOrigin = shape.Depth > 0 ? left.Origin(place.Matrix, firstRow) : 0L;
        long rightOrigin = shape.Depth > 0 ? right.Origin(place.Matrix, firstColumn) : 0L;

        ThreadPosition<TTile> thread = ThreadPosition<TTile>.Current;
        FragmentPair<Fragment8x4> sums = default;
        for (int depth = 0; depth < shape.Depth; depth += TTile.Depth)
        {
            PanelLoader.LoadTransposed<TTile, TLeft>(
                leftPanel.Cast<float>(), 4 * rowPitch, ThreadPosition<TTile>.TileRows,
                left, leftOrigin, shape.Rows - firstRow, depth, shape.Depth);
            PanelLoader.LoadTransposed<TTile, TRight>(
                rightPanel.Cast<float>(), 4 * columnPitch, tileColumns, right, rightOrigin, shape.Columns - firstColumn, depth,
                shape.Depth);
            Group.Barrier();
            for (int line = 0; line < TTile.Depth; line++)
            {
                Rows8 rows = thread.LoadRows(leftPanel, line);
                sums.MultiplyAdd(rows, rightPanel, line * columnPitch + thread.Column, TTile.ColumnThreads);
            }

            Group.Barrier();
        }

        sums.Store(
            new MatmulSink<TTile, TOutput, TResult, TEpilogue>
            {
                Result = result,
                Layout = resultLayout,
                MatrixBase = resultLayout.Base(place.Matrix),
                Epilogue = epilogue,
                Thread = thread,
                FirstRow = firstRow,
                Rows = shape.Rows,
                Columns = shape.Columns,
            },
            firstColumn + 4 * thread.Column,
            4 * TTile.ColumnThreads);
    }
}
