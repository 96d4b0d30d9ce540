using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Tiles;
using ILGPU;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.TensorCore;

/// <summary>The matrix product of the projections on tensor cores, SM_80 and up, for elements of 16 bits.</summary>
public static class TensorCoreMatmulKernel
{
    private const int Rows = 64;
    private const int Columns = 128;
    private const int Depth = 64;
    private const int RowBytes = Depth * TensorCoreTiles.ElementBytes;
    private const int LeftBytes = Rows * RowBytes;
    private const int RightBytes = Columns * RowBytes;

    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount(MatmulArguments sizes) =>
        (long)TileCount.DivideUp(sizes.Rows, Rows) * TileCount.DivideUp(sizes.Columns, Columns);

    /// <summary>
    /// <c>result = left * right^T + bias</c>; a group 64 rows by 128 columns, a warp 16 rows. Sums are float32, and rounded once.
    /// <c>cp.async</c> brings the next 64 of the depth while these are multiplied.
    /// </summary>
    /// <remarks>
    /// The inner loop, per warp and 16 of depth: 16 <c>mma.sync</c>, 9 <c>ldmatrix</c>. Registers: 64 sums, 12 operands. Shared memory: 48
    /// KB, two blocks of either operand.
    /// </remarks>
    public static void Multiply<TTensor>(TensorCoreMatmulArguments shape)
        where TTensor : struct, ITensorCoreElement
    {
        CudaAsm.Emit(".shared .align 128 .b8 tiles[49152];");
        CudaAsm.Emit("mov.u32 %0, tiles;", out int tiles);
        int leftTiles = tiles;
        int rightTiles = leftTiles + 2 * LeftBytes;
        int columnTiles = TileCount.DivideUp(shape.Sizes.Columns, Columns);
        var place = new GroupPlace(columnTiles, TileCount.DivideUp(shape.Sizes.Rows, Rows));
        int firstColumn = place.Column * Columns;
        int firstRow = place.Row * Rows;
        int columns = IntrinsicMath.Min(shape.Sizes.Columns - firstColumn, Columns);
        int leftRow = (TensorCoreTiles.FirstRow + TensorCoreTiles.LeftRow) * RowBytes;
        int leftPiece = TensorCoreTiles.LeftPiece;
        int rightRow = TensorCoreTiles.RightRow * RowBytes;
        int rightPiece = TensorCoreTiles.RightPiece;
        int column = (TensorCoreTiles.Lane & 3) * 2;

        CudaAsm.Emit(TensorCoreText.Declare);
        TTensor.StartWith(shape.Bias + (firstColumn + column) * TensorCoreTiles.ElementBytes, shape.Bias != 0 ? columns : 0);
        CopyBlock(shape, leftTiles, rightTiles, firstRow, firstColumn, 0);
        CudaAsm.Emit(TensorCoreText.Commit);
        int stage = 0;
        for (int depth = 0; depth < shape.Sizes.Depth; depth += Depth)
        {
            int left = leftTiles + stage * LeftBytes + leftRow;
            int right = rightTiles + stage * RightBytes + rightRow;
            stage = 1 - stage;
            CopyBlock(
                shape, leftTiles + stage * LeftBytes, rightTiles + stage * RightBytes, firstRow, firstColumn,
                IntrinsicMath.Min(depth + Depth, shape.Sizes.Depth));
            CudaAsm.Emit(TensorCoreText.Commit);
            CudaAsm.Emit(TensorCoreText.WaitForAllButLast);
            Group.Barrier();
            for (int piece = 0; piece < Depth / TensorCoreTiles.PieceElements; piece += 2)
                TTensor.Products(left + (leftPiece ^ piece) * TensorCoreTiles.PieceBytes, right + (rightPiece ^ piece) * TensorCoreTiles.PieceBytes);
            Group.Barrier();
        }

        CudaAsm.Emit(TensorCoreText.WaitForAll);
        CudaAsm.Emit(TensorCoreText.KeepSums);
        int row = firstRow + TensorCoreTiles.FirstRow + (TensorCoreTiles.Lane >> 2);
        int columns0 = row < shape.Sizes.Rows ? columns : 0;
        int columns1 = row + 8 < shape.Sizes.Rows ? columns : 0;
        if (shape.IsResultSplit != 0)
        {
            CudaAsm.Emit(TensorCoreText.DeclareAddress);
            long row0 = shape.Result + (shape.ResultLayout.Row(row) + column) * TensorCoreTiles.ElementBytes;
            long row1 = shape.Result + (shape.ResultLayout.Row(row + 8) + column) * TensorCoreTiles.ElementBytes;
            HeadLayout layout = shape.ResultLayout;
            TTensor.StorePieces0(
                row0, row1, columns0, columns1, Piece(layout, firstColumn), Piece(layout, firstColumn + 8),
                Piece(layout, firstColumn + 16), Piece(layout, firstColumn + 24));
            TTensor.StorePieces4(
                row0, row1, columns0, columns1, Piece(layout, firstColumn + 32), Piece(layout, firstColumn + 40),
                Piece(layout, firstColumn + 48), Piece(layout, firstColumn + 56));
            TTensor.StorePieces8(
                row0, row1, columns0, columns1, Piece(layout, firstColumn + 64), Piece(layout, firstColumn + 72),
                Piece(layout, firstColumn + 80), Piece(layout, firstColumn + 88));
            TTensor.StorePieces12(
                row0, row1, columns0, columns1, Piece(layout, firstColumn + 96), Piece(layout, firstColumn + 104),
                Piece(layout, firstColumn + 112), Piece(layout, firstColumn + 120));
        }
        else
        {
            long stride = shape.ResultLayout.InnerRowStride * TensorCoreTiles.ElementBytes;
            long result0 = shape.Result + row * stride + (firstColumn + column) * TensorCoreTiles.ElementBytes;
            long result1 = result0 + 8L * stride;
            TTensor.StoreLow(result0, result1, columns0, columns1);
            TTensor.StoreHigh(result0, result1, columns0, columns1);
        }
    }

    // A piece of 8 columns lies in one head.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long Piece(HeadLayout layout, int column) => layout.Column(column) * TensorCoreTiles.ElementBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CopyBlock(TensorCoreMatmulArguments shape, int leftTile, int rightTile, int firstRow, int firstColumn, int depth)
    {
        int count = shape.Sizes.Depth - depth;
        long stride = shape.Sizes.Depth;

        // At the end of the depth nothing is read, and the address must be inside.
        long start = count > 0 ? depth : 0;
        TensorCoreTiles.Copy<TensorCoreSize64>(
            leftTile, Rows, shape.Left + (firstRow * stride + start) * TensorCoreTiles.ElementBytes, stride, shape.Sizes.Rows - firstRow, count);
        TensorCoreTiles.Copy<TensorCoreSize64>(
            rightTile, Columns, shape.Right + (firstColumn * stride + start) * TensorCoreTiles.ElementBytes, stride,
            shape.Sizes.Columns - firstColumn, count);
    }
}
