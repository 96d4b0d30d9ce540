using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Tiles;

/// <summary>
/// How a warp writes the sums of products to a tile in shared memory: of each 8 rows and 8 columns a thread has two neighbours of a row.
/// </summary>
/// <remarks>A register for each piece that is exchanged. The 32 words of an instruction are in different banks.</remarks>
public sealed class PairStore
{
    private readonly PtxText _e;
    private readonly SharedTile _tile;
    private readonly Word[] _addresses;

    /// <summary>Works out the thread's places.</summary>
    /// <param name="e">The text.</param>
    /// <param name="tile">The tile.</param>
    /// <param name="address">Where it starts.</param>
    /// <param name="firstRow">The warp's first row.</param>
    /// <param name="firstPiece">The warp's first piece of a row: a multiple of a power of two that is no less than its pieces.</param>
    public PairStore(PtxText e, SharedTile tile, Word address, Word firstRow, Word firstPiece)
    {
        _e = e;
        _tile = tile;
        Word lane = e.And(e.Thread, PtxText.WarpSize - 1);
        Word row = e.Add(firstRow, e.ShiftRight(lane, 2));
        Word first = e.Add(tile.Address(e, address, row, firstPiece), e.ShiftLeft(e.And(lane, 3), 2));
        _addresses = [first, .. Enumerable.Range(1, tile.Exchanged - 1).Select(piece => e.Xor(first, piece * PtxText.PieceBytes))];
    }

    /// <summary>Writes two neighbouring elements.</summary>
    /// <param name="rows">Rows from the warp's first one, a multiple of 8.</param>
    /// <param name="piece">Pieces from the warp's first one.</param>
    /// <param name="pair">The elements.</param>
    public void Store(int rows, int piece, Word pair)
    {
        int period = _addresses.Length;
        int offset = rows * _tile.Pitch + piece / period * period * PtxText.PieceBytes;
        _e.StoreShared(_addresses[piece % period], offset, pair);
    }
}
