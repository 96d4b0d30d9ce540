using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Tiles;

/// <summary>
/// Rows of 16-bit elements in shared memory, laid out so that the eight rows that an <c>ldmatrix</c> reads together are in different banks.
/// Where a row is a multiple of 128 bytes, its 16-byte pieces are exchanged by the row's number; else it gets a piece more where their
/// number is even.
/// </summary>
/// <param name="Rows">Rows of the tile, a multiple of 16.</param>
/// <param name="Columns">Elements of a row that there are.</param>
public sealed record SharedTile(int Rows, int Columns)
{
    /// <summary>Elements of a piece.</summary>
    public const int PieceElements = 8;

    private const int PieceBytes = PtxText.PieceBytes;
    private const int Banks = 8;

    // A product reads 16 elements of a row.
    private const int StepPieces = 2;

    /// <summary>Pieces of a row that hold elements.</summary>
    public int Pieces => (Columns + PieceElements - 1) / PieceElements;

    /// <summary>Pieces of a row that products read.</summary>
    public int PaddedPieces => (Pieces + StepPieces - 1) / StepPieces * StepPieces;

    /// <summary>Products along a row: steps of 16 elements.</summary>
    public int Steps => PaddedPieces / StepPieces;

    /// <summary>Whether pieces are exchanged.</summary>
    public bool IsExchanged => PaddedPieces % Banks == 0;

    /// <summary>Bytes from one row to the next.</summary>
    public int Pitch => (IsExchanged ? PaddedPieces : PaddedPieces + 1) * PieceBytes;

    /// <summary>Bytes of the tile.</summary>
    public int Bytes => Rows * Pitch;

    /// <summary>Whether rows of so many elements are whole pieces.</summary>
    public static bool HasWholePieces(params ReadOnlySpan<int> columns)
    {
        foreach (int count in columns)
        {
            if (count % PieceElements != 0)
                return false;
        }

        return true;
    }

    /// <summary>The address of a piece of a row.</summary>
    /// <param name="e">The text.</param>
    /// <param name="tile">The tile's address, a multiple of 128.</param>
    /// <param name="row">The row.</param>
    /// <param name="piece">The piece.</param>
    public Word Address(PtxText e, Word tile, Word row, Word piece)
    {
        Word place = IsExchanged ? e.Xor(piece, e.And(row, Banks - 1)) : piece;
        return e.MultiplyAdd(place, PieceBytes, e.MultiplyAdd(row, Pitch, tile));
    }
}

/// <summary>
/// Where a thread reads a tile by <c>ldmatrix</c>: from a row of its own, at one of two neighbouring pieces, step by step along the row.
/// </summary>
/// <remarks>One register, or four where pieces are exchanged; all else is in the instructions.</remarks>
public sealed class MatrixReader
{
    private const int ExchangedSteps = 4;
    private const int StepBytes = 2 * PtxText.PieceBytes;

    private readonly PtxText _e;
    private readonly SharedTile _tile;
    private readonly Word[] _addresses;

    private MatrixReader(PtxText e, SharedTile tile, Word address, Word row, Word half)
    {
        _e = e;
        _tile = tile;
        Word first = tile.Address(e, address, row, half);
        _addresses = tile.IsExchanged
            ? [first, .. Enumerable.Range(1, ExchangedSteps - 1).Select(step => e.Xor(first, step * StepBytes))]
            : [first];
    }

    /// <summary>
    /// A reader of left operands, whose rows are the product's, and of right ones that are transposed on the way: 16 rows by 16 elements.
    /// </summary>
    /// <param name="e">The text.</param>
    /// <param name="tile">The tile.</param>
    /// <param name="address">Where it starts.</param>
    /// <param name="firstRow">The first row of the warp's; a multiple of 8.</param>
    public static MatrixReader OfRows(PtxText e, SharedTile tile, Word address, Word firstRow)
    {
        Word lane = e.And(e.Thread, PtxText.WarpSize - 1);
        return new(e, tile, address, e.Add(e.And(lane, 15), firstRow), e.ShiftRight(lane, 4));
    }

    /// <summary>A reader of right operands whose rows are the product's columns: 16 of them by 16 elements.</summary>
    /// <param name="e">The text.</param>
    /// <param name="tile">The tile.</param>
    /// <param name="address">Where it starts.</param>
    /// <param name="firstRow">The first row of the warp's; a multiple of 8.</param>
    public static MatrixReader OfColumns(PtxText e, SharedTile tile, Word address, Word firstRow)
    {
        Word lane = e.And(e.Thread, PtxText.WarpSize - 1);
        Word row = e.Add(e.And(lane, 7), e.ShiftLeft(e.ShiftRight(lane, 4), 3));
        return new(e, tile, address, e.Add(row, firstRow), e.And(e.ShiftRight(lane, 3), 1));
    }

    /// <summary>Reads four matrices.</summary>
    /// <param name="rows">Rows from the first one, a multiple of 8.</param>
    /// <param name="step">Steps of 16 elements from the start of the row.</param>
    /// <param name="isTransposed">Whether they are transposed.</param>
    /// <param name="offset">Bytes from the tile's start, a multiple of 128.</param>
    public Word[] Read(int rows, int step, bool isTransposed = false, int offset = 0)
    {
        int period = _addresses.Length;
        offset += rows * _tile.Pitch + step / period * period * StepBytes;
        return _e.LoadMatrices(_addresses[step % period], offset, isTransposed);
    }
}
