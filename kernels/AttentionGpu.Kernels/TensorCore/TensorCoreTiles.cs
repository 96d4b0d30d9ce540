using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.TensorCore;

/// <summary>
/// Tiles of 16-bit elements in shared memory. The 16-byte pieces of a row are exchanged by the row's number, so that the eight rows that an
/// <c>ldmatrix</c> reads are in different banks. A group has 128 threads.
/// </summary>
public static class TensorCoreTiles
{
    /// <summary>Threads of a group.</summary>
    public const int Threads = 128;

    /// <summary>Rows of a warp.</summary>
    public const int WarpRows = 16;

    /// <summary>Bytes that are copied, and read, at a time.</summary>
    public const int PieceBytes = 16;

    /// <summary>Bytes of an element.</summary>
    public const int ElementBytes = 2;

    /// <summary>Elements of a piece.</summary>
    public const int PieceElements = 8;

    private const int WarpSize = 32;
    private const int WarpShift = 5;

    /// <summary>The thread's place in its warp.</summary>
    public static int Lane
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Group.IdxX & (WarpSize - 1);
    }

    /// <summary>The first of the 16 rows of the group's tile that are the warp's.</summary>
    public static int FirstRow
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Group.IdxX >> WarpShift) * WarpRows;
    }

    /// <summary>
    /// The row, of 16, that the thread names for <c>ldmatrix</c> of a left operand, or of a right one that is transposed on the way.
    /// </summary>
    public static int LeftRow
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Lane & 15;
    }

    /// <summary>
    /// The piece that holds the thread's of the row's first two. That of the pair behind is this one, exclusive or 2, and so on.
    /// </summary>
    public static int LeftPiece
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Lane >> 4) ^ (Lane & 7);
    }

    /// <summary>The row, of 16, that the thread names of a right operand whose rows are columns of the product.</summary>
    public static int RightRow
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ((Lane >> 4) << 3) + (Lane & 7);
    }

    /// <summary>As <see cref="LeftPiece"/>, for <see cref="RightRow"/>.</summary>
    public static int RightPiece
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ((Lane >> 3) & 1) ^ (Lane & 7);
    }

    /// <summary>
    /// Starts copying a tile's rows, with zeros behind the last row and column. What is not read has the address of the first piece, which
    /// must be a good one.
    /// </summary>
    /// <param name="tile">Where it goes in shared memory.</param>
    /// <param name="tileRows">Rows of the tile.</param>
    /// <param name="source">The address of its first element.</param>
    /// <param name="stride">Elements from one row to the next.</param>
    /// <param name="rows">Rows that there are.</param>
    /// <param name="columns">Columns that there are.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Copy<TSize>(int tile, int tileRows, long source, long stride, int rows, int columns)
        where TSize : struct, ITensorCoreSize
    {
        // A thread's pieces are in one column, and their rows a multiple of 8 apart: addresses grow by the same number from piece to piece.
        // A copy costs 2 additions, 1 comparison and 2 selections.
        int pieces = TSize.Columns / PieceElements;
        int piece = Group.IdxX & (pieces - 1);
        int firstRow = Group.IdxX / pieces;
        int rowStep = Threads / pieces;
        int target = tile + (firstRow * pieces + (piece ^ (firstRow & 7))) * PieceBytes;
        long from = source + (firstRow * stride + piece * PieceElements) * ElementBytes;
        long fromStep = rowStep * stride * ElementBytes;
        int rowsThere = piece * PieceElements < columns ? rows : 0;

        // The number of turns is a constant: of a loop with a bound of rows the assembler made four copies.
        for (int i = 0; i < tileRows * pieces / Threads; i++)
        {
            bool isThere = firstRow + i * rowStep < rowsThere;
            CudaAsm.Emit(TensorCoreText.Copy, target, isThere ? from : source, isThere ? PieceBytes : 0);
            target += Threads * PieceBytes;
            from += fromStep;
        }
    }
}
