using System.Numerics;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Tiles;

/// <summary>
/// A thread's pieces of a tile: one piece of every so many rows, so that each address is a register's and a constant.
/// </summary>
internal sealed class TilePlaces
{
    private const int Banks = 8;

    private readonly SharedTile _tile;
    private readonly Word[] _addresses;

    /// <param name="e">The text.</param>
    /// <param name="tile">The tile.</param>
    /// <param name="address">Where it starts.</param>
    /// <param name="threads">Threads of the group, a power of two.</param>
    public TilePlaces(PtxText e, SharedTile tile, Word address, int threads)
    {
        _tile = tile;
        int across = Math.Max((int)BitOperations.RoundUpToPowerOf2((uint)tile.PaddedPieces), threads / tile.Rows);
        RowsApart = threads / across;
        Piece = e.And(e.Thread, across - 1);
        Row = e.ShiftRight(e.Thread, BitOperations.Log2((uint)across));
        HasPiece = across > tile.Pieces ? e.Compare("lt", Piece, tile.Pieces) : null;

        // A thread behind the last piece that products read has the address of its rows' first one: there is memory for it.
        Word place = across > tile.PaddedPieces ? e.Select(Piece, 0, e.Compare("lt", Piece, tile.PaddedPieces)) : Piece;
        Word first = tile.Address(e, address, Row, place);
        int kinds = tile.IsExchanged && RowsApart < Banks ? Banks / RowsApart : 1;
        _addresses =
        [
            first, .. Enumerable.Range(1, kinds - 1).Select(kind => e.Xor(first, tile.Exchange(kind * RowsApart) * PtxText.PieceBytes)),
        ];
    }

    /// <summary>Rows from one of the thread's pieces to the next.</summary>
    public int RowsApart { get; }

    /// <summary>Pieces of a thread.</summary>
    public int Count => _tile.Rows / RowsApart;

    /// <summary>The thread's piece of its rows. Those behind the last piece have no thread's elements.</summary>
    public Word Piece { get; }

    /// <summary>The thread's first row.</summary>
    public Word Row { get; }

    /// <summary>Whether the piece holds elements; null where every thread's does.</summary>
    public Predicate? HasPiece { get; }

    /// <summary>The address in shared memory of the thread's n-th piece, without <see cref="Offset"/>.</summary>
    public Word Address(int number) => _addresses[number % _addresses.Length];

    /// <summary>What comes to the address.</summary>
    public int Offset(int number) => number * RowsApart * _tile.Pitch;
}
