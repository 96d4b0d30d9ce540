using AttentionGpu.Kernels.Elements;
using AttentionGpu.Kernels.Fragments;
using AttentionGpu.Kernels.Layouts;
using AttentionGpu.Kernels.Matmul;
using AttentionGpu.Kernels.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Packed;

/// <summary>The matrix product for processors: one thread a group, no barriers, and operands that <see cref="PackKernel"/> has packed.</summary>
public static class PackedMatmulKernel
{
    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount(MatmulShape shape, int matrices) =>
        (long)matrices
        * TileCount.DivideUp(shape.Rows, PackShape.LeftLanes)
        * TileCount.DivideUp(shape.Columns, PackShape.RightLanes);

    /// <summary><c>result = epilogue(left * right^T)</c> for a batch of matrices; one thread 8 rows by 16 columns of the result.</summary>
    /// <remarks>
    /// The inner loop, per step of depth: 128 multiply-adds, 8 with vectors of 16 floats; loads of 8 and of 16 neighbouring floats.
    /// A compiler for a processor makes vectors of the fragment's fields: the accumulators are 8 registers of 16 floats, or 16 of 8.
    /// </remarks>
    public static void Multiply<TOutput, TResult, TEpilogue>(
        MatmulShape shape,
        ArrayView<Float4> left, ArrayView<Float4> right,
        ArrayView<TOutput> result, TResult resultLayout,
        TEpilogue epilogue)
        where TOutput : unmanaged, IElement<TOutput>
        where TResult : struct, IMatrixLayout
        where TEpilogue : struct, IEpilogue
    {
        const int rowElements = PackShape.LeftLanes / 4;
        const int columnElements = PackShape.RightLanes / 4;
        int columnTiles = TileCount.DivideUp(shape.Columns, PackShape.RightLanes);
        int rowTiles = TileCount.DivideUp(shape.Rows, PackShape.LeftLanes);
        int columnTile = Grid.IdxX % columnTiles;
        int rowTile = Grid.IdxX / columnTiles % rowTiles;
        int matrix = Grid.IdxX / columnTiles / rowTiles;
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
                FirstRow = rowTile * PackShape.LeftLanes,
                Rows = shape.Rows,
                Columns = shape.Columns,
            },
            columnTile * PackShape.RightLanes,
            4);
    }
}
