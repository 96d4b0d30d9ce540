using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Tiles;

/// <summary>How a group's threads write a tile's rows to the device's memory, 16 bytes at a time.</summary>
/// <param name="e">The text.</param>
/// <param name="tile">The tile.</param>
/// <param name="address">Where it starts.</param>
/// <param name="threads">Threads of the group, a power of two.</param>
public sealed class TileStore(PtxText e, SharedTile tile, Word address, int threads)
{
    /// <summary>Writes the rows that there are. Two instructions for each piece of a thread, and three for its guard and the next address.</summary>
    /// <param name="rows">The address of the first row, a multiple of 16 like the stride.</param>
    /// <param name="stride">Bytes from one row to the next.</param>
    /// <param name="count">Rows that there are.</param>
    public void Store(Wide rows, Wide stride, Word count)
    {
        var places = new TilePlaces(e, tile, address, threads);
        Wide target = e.Move(
            e.Add(e.Add(rows, e.Multiply(e.Widen(places.Row), stride)), e.MultiplyWide(places.Piece, PtxText.PieceBytes)), e.New<Wide>());
        Wide step = e.Multiply(stride, places.RowsApart);
        Word left = e.Subtract(count, places.Row);
        if (places.HasPiece is { } hasPiece)
            left = e.Select(left, 0, hasPiece);
        for (int i = 0; i < places.Count; i++)
        {
            // A register that only some threads write would be alive in every pass of the loop around.
            Word[] piece = e.LoadSharedPiece(places.Address(i), places.Offset(i));
            using (e.When(e.Compare("gt", left, i * places.RowsApart)))
            {
                e.StorePiece(target, 0, piece);
            }

            e.Add(target, step, target);
        }
    }
}
