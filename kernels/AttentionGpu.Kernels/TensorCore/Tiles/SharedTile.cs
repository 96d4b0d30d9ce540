using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Tiles;

/// <summary>
/// Rows of 16-bit elements in shared memory, laid out so that the eight rows that an <c>ldmatrix</c> reads together are in different banks.
/// Where a row is a multiple of 128 bytes, or of 64 in a dense tile, its 16-byte pieces are exchanged by the row's number; else it gets a
/// piece more where their number is even.
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

    /// <summary>Whether rows that are a multiple of 64 bytes get no padding: less memory, and a register more in a reader.</summary>
    public bool IsDense { get; init; }

    /// <summary>Pieces of a row that hold elements.</summary>
    public int Pieces => (Columns + PieceElements - 1) / PieceElements;

    /// <summary>Pieces of a row that products read.</summary>
    public int PaddedPieces => (Pieces + StepPieces - 1) / StepPieces * StepPieces;

    /// <summary>Products along a row: steps of 16 elements.</summary>
    public int Steps => PaddedPieces / StepPieces;

    /// <summary>
    /// How many neighbouring pieces change places with each other: 8 where a row is a multiple of 128 bytes, 4 where it is one of 64 in a
    /// dense tile (eight rows then start at two places among the banks), and 1 where pieces stay.
    /// </summary>
    public int Exchanged => PaddedPieces % Banks == 0 ? Banks : IsDense && PaddedPieces % (Banks / 2) == 0 ? Banks / 2 : 1;

    /// <summary>Whether pieces are exchanged.</summary>
    public bool IsExchanged => Exchanged > 1;

    /// <summary>Bytes from one row to the next.</summary>
    public int Pitch => (IsExchanged ? PaddedPieces : PaddedPieces + 1) * PieceBytes;

    // The bits of a row's number that do not count.
    private int ExchangeShift => Exchanged == Banks ? 0 : 1;

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

    /// <summary>What a piece's number is changed by in a row: the bits that are exchanged.</summary>
    public int Exchange(int row) => (row >> ExchangeShift) & (Exchanged - 1);

    /// <summary>The address of a piece of a row.</summary>
    /// <param name="e">The text.</param>
    /// <param name="tile">The tile's address, a multiple of 128.</param>
    /// <param name="row">The row.</param>
    /// <param name="piece">The piece.</param>
    public Word Address(PtxText e, Word tile, Word row, Word piece)
    {
        Word place = piece;
        if (IsExchanged)
            place = e.Xor(piece, e.And(ExchangeShift == 0 ? row : e.ShiftRight(row, ExchangeShift), Exchanged - 1));
        return e.MultiplyAdd(place, PieceBytes, e.MultiplyAdd(row, Pitch, tile));
    }
}

/// <summary>
/// Where a thread reads a tile by <c>ldmatrix</c>: from a row of its own, at one of two neighbouring pieces, step by step along the row.
/// </summary>
/// <remarks>One register, or two or four where pieces are exchanged; all else is in the instructions.</remarks>
public sealed class MatrixReader
{
    private const int StepPieces = 2;
    private const int StepBytes = StepPieces * PtxText.PieceBytes;

    private readonly PtxText _e;
    private readonly SharedTile _tile;
    private readonly Word[] _addresses;

    private MatrixReader(PtxText e, SharedTile tile, Word[] addresses)
    {
        _e = e;
        _tile = tile;
        _addresses = addresses;
    }

    private MatrixReader(PtxText e, SharedTile tile, Word address, Word row, Word half)
        : this(e, tile, Addresses(e, tile, tile.Address(e, address, row, half)))
    {
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

    /// <summary>A reader of a tile that lies so many bytes, a multiple of 128, behind this one. One instruction for each register.</summary>
    public MatrixReader Behind(Word bytes) => new(_e, _tile, [.. _addresses.Select(address => _e.Add(address, bytes))]);

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

    private static Word[] Addresses(PtxText e, SharedTile tile, Word first) =>
        [first, .. Enumerable.Range(1, Math.Max(tile.Exchanged / StepPieces, 1) - 1).Select(step => e.Xor(first, step * StepBytes))];
}
