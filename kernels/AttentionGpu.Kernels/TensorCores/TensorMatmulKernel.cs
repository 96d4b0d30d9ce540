using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Matmul;
using AttentionGpu.Kernels.Tiles;
using ILGPU;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.TensorCores;

/// <summary>The matrix product of the projections on tensor cores, SM_80 and up, for elements of 16 bits.</summary>
public static class TensorMatmulKernel
{
    private const int Rows = 64;
    private const int Columns = 128;
    private const int Depth = 64;
    private const int RowBytes = Depth * TensorTiles.ElementBytes;
    private const int LeftBytes = Rows * RowBytes;
    private const int RightBytes = Columns * RowBytes;

    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount(MatmulShape sizes) =>
        (long)TileCount.DivideUp(sizes.Rows, Rows) * TileCount.DivideUp(sizes.Columns, Columns);

    /// <summary>
    /// <c>result = left * right^T + bias</c>; a group 64 rows by 128 columns, a warp 16 rows. Sums are float32, and rounded once. <c>cp.async</c> brings the next
    /// 64 of the depth while these are multiplied.
    /// </summary>
    /// <remarks>
    /// The inner loop, per warp and 16 of depth: 16 <c>mma.sync</c>, 9 <c>ldmatrix</c>. Registers: 64 sums, 12 operands. Shared memory: 48 KB, two blocks
    /// of either operand.
    /// </remarks>
    public static void Multiply<TTensor>(TensorMatmulShape shape)
        where TTensor : struct, ITensorElement
    {
        CudaAsm.Emit(".shared .align 128 .b8 tiles[49152];");
        CudaAsm.Emit("mov.u32 %0, tiles;", out int tiles);
        int leftTiles = tiles;
        int rightTiles = leftTiles + 2 * LeftBytes;
        int columnTiles = TileCount.DivideUp(shape.Sizes.Columns, Columns);
        int firstColumn = Grid.IdxX % columnTiles * Columns;
        int firstRow = Grid.IdxX / columnTiles * Rows;
        int columns = IntrinsicMath.Min(shape.Sizes.Columns - firstColumn, Columns);
        int leftRow = (TensorTiles.FirstRow + TensorTiles.LeftRow) * RowBytes;
        int leftPiece = TensorTiles.LeftPiece;
        int rightRow = TensorTiles.RightRow * RowBytes;
        int rightPiece = TensorTiles.RightPiece;
        int column = TensorTiles.Lane % 4 * 2;

        CudaAsm.Emit(TensorText.Declare);
        TTensor.StartWith(shape.Bias + (firstColumn + column) * TensorTiles.ElementBytes, shape.Bias != 0 ? columns : 0);
        CopyBlock(shape, leftTiles, rightTiles, firstRow, firstColumn, 0);
        CudaAsm.Emit(TensorText.Commit);
        int stage = 0;
        for (int depth = 0; depth < shape.Sizes.Depth; depth += Depth)
        {
            int left = leftTiles + stage * LeftBytes + leftRow;
            int right = rightTiles + stage * RightBytes + rightRow;
            stage = 1 - stage;
            CopyBlock(
                shape, leftTiles + stage * LeftBytes, rightTiles + stage * RightBytes, firstRow, firstColumn,
                IntrinsicMath.Min(depth + Depth, shape.Sizes.Depth));
            CudaAsm.Emit(TensorText.Commit);
            CudaAsm.Emit(TensorText.WaitForAllButLast);
            Group.Barrier();
            for (int piece = 0; piece < Depth / TensorTiles.PieceElements; piece += 2)
                TTensor.Products(left + (leftPiece ^ piece) * TensorTiles.PieceBytes, right + (rightPiece ^ piece) * TensorTiles.PieceBytes);
            Group.Barrier();
        }

        CudaAsm.Emit(TensorText.WaitForAll);
        CudaAsm.Emit(TensorText.KeepSums);
        int row = firstRow + TensorTiles.FirstRow + TensorTiles.Lane / 4;
        long result0 = shape.Result + ((long)row * shape.Sizes.Columns + firstColumn + column) * TensorTiles.ElementBytes;
        long result1 = result0 + 8L * shape.Sizes.Columns * TensorTiles.ElementBytes;
        int columns0 = row < shape.Sizes.Rows ? columns : 0;
        int columns1 = row + 8 < shape.Sizes.Rows ? columns : 0;
        TTensor.StoreLow(result0, result1, columns0, columns1);
        TTensor.StoreHigh(result0, result1, columns0, columns1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CopyBlock(TensorMatmulShape shape, int leftTile, int rightTile, int firstRow, int firstColumn, int depth)
    {
        int count = shape.Sizes.Depth - depth;
        long stride = shape.Sizes.Depth;

        // At the end of the depth nothing is read, and the address must be inside.
        long start = count > 0 ? depth : 0;
        TensorTiles.Copy<TensorSize64>(
            leftTile, Rows, shape.Left + (firstRow * stride + start) * TensorTiles.ElementBytes, stride, shape.Sizes.Rows - firstRow, count);
        TensorTiles.Copy<TensorSize64>(
            rightTile, Columns, shape.Right + (firstColumn * stride + start) * TensorTiles.ElementBytes, stride,
            shape.Sizes.Columns - firstColumn, count);
    }
}
