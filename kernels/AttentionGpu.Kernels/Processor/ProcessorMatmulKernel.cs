using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Tiled.Matmul;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Processor;

/// <summary>
/// The matrix product for processors: one thread a group, no barriers, and operands that <see cref="PanelKernel"/> has panelled.
/// </summary>
public static class ProcessorMatmulKernel
{
    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount(MatmulArguments shape, int matrices) =>
        (long)matrices
        * TileCount.DivideUp(shape.Rows, PanelArguments.LeftLanes)
        * TileCount.DivideUp(shape.Columns, PanelArguments.RightLanes);

    /// <summary><c>result = epilogue(left * right^T)</c> for a batch of matrices; one thread 8 rows by 16 columns of the result.</summary>
    /// <remarks>
    /// The inner loop, per step of depth: 128 multiply-adds, 8 with vectors of 16 floats; loads of 8 and of 16 neighbouring floats.
    /// A compiler for a processor makes vectors of the fragment's fields: the accumulators are 8 registers of 16 floats, or 16 of 8.
    /// </remarks>
    public static void Multiply<TOutput, TResult, TEpilogue>(
        MatmulArguments shape,
        ArrayView<Float4> left, ArrayView<Float4> right,
        ArrayView<TOutput> result, TResult resultLayout,
        TEpilogue epilogue)
        where TOutput : unmanaged, IElement<TOutput>
        where TResult : struct, IMatrixLayout
        where TEpilogue : struct, IEpilogue
    {
        const int rowElements = PanelArguments.LeftLanes / 4;
        const int columnElements = PanelArguments.RightLanes / 4;
        int columnTiles = TileCount.DivideUp(shape.Columns, PanelArguments.RightLanes);
        int rowTiles = TileCount.DivideUp(shape.Rows, PanelArguments.LeftLanes);
        var place = new GroupPlace(columnTiles, rowTiles);
        int columnTile = place.Column;
        int rowTile = place.Row;
        int matrix = place.Matrix;
        ArrayView<Float4> rows = left.SubView(((long)matrix * rowTiles + rowTile) * shape.Depth * rowElements, shape.Depth * rowElements);
        ArrayView<Float4> columns =
            right.SubView(((long)matrix * columnTiles + columnTile) * shape.Depth * columnElements, shape.Depth * columnElements);

        Fragment8x16 sums = default;
        for (int depth = 0; depth < shape.Depth; depth++)
            sums.MultiplyAdd(Rows8.Load(rows, depth * rowElements, 1), columns, depth * columnElements, 1);

        sums.Store(
            new MatmulSink<Tile1x1, TOutput, TResult, TEpilogue>
            {
                Result = result,
                Layout = resultLayout,
                MatrixBase = resultLayout.Base(matrix),
                Epilogue = epilogue,
                Thread = ThreadPosition<Tile1x1>.Current,
                FirstRow = rowTile * PanelArguments.LeftLanes,
                Rows = shape.Rows,
                Columns = shape.Columns,
            },
            columnTile * PanelArguments.RightLanes,
            4);
    }
}
