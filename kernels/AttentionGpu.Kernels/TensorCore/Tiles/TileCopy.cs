using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Tiles;

/// <summary>
/// How a group's threads copy rows from the device's memory into a tile. A thread has one piece of every so many rows, so that each address
/// is the one before and a constant.
/// </summary>
public sealed class TileCopy
{
    private const int ElementBytes = 2;

    private readonly PtxText _e;
    private readonly SharedTile _tile;
    private readonly bool _isAligned;
    private readonly TilePlaces _places;

    /// <summary>Works out the thread's places.</summary>
    /// <param name="e">The text.</param>
    /// <param name="tile">The tile.</param>
    /// <param name="address">Where it starts.</param>
    /// <param name="threads">Threads of the group, a power of two.</param>
    /// <param name="isAligned">Whether rows start at multiples of 16 bytes in the device's memory.</param>
    public TileCopy(PtxText e, SharedTile tile, Word address, int threads, bool isAligned)
    {
        _e = e;
        _tile = tile;
        _isAligned = isAligned;
        _places = new TilePlaces(e, tile, address, threads);
    }

    /// <summary>The address of the thread's first piece.</summary>
    /// <param name="rows">The address of the first row.</param>
    /// <param name="stride">Bytes from one row to the next.</param>
    public Wide Start(Wide rows, Wide stride)
    {
        Wide row = _e.Add(rows, _e.Multiply(_e.Widen(_places.Row), stride));
        return _e.Add(row, _e.MultiplyWide(_places.Piece, PtxText.PieceBytes));
    }

    /// <summary>Bytes from one of the thread's rows to the next.</summary>
    public Wide Step(Wide stride) => _e.Multiply(stride, _places.RowsApart);

    /// <summary>
    /// Puts zeros where no row is ever copied to: behind the columns, up to those that products read. No copy writes there.
    /// </summary>
    public void ClearPadding()
    {
        if (_tile.PaddedPieces == _tile.Pieces || !_isAligned)
            return;
        using PtxText.Scope scope = _e.When(_e.Compare("eq", _places.Piece, _tile.Pieces));
        for (int pass = 0; pass < _places.Count; pass++)
            StoreZeros(pass);
    }

    /// <summary>Starts copying all rows of the tile. The address goes on to the tile behind.</summary>
    /// <param name="source">The address of the thread's next piece.</param>
    /// <param name="step">See <see cref="Step"/>.</param>
    public void Copy(Wide source, Wide step)
    {
        for (int pass = 0; pass < _places.Count; pass++)
        {
            if (!_isAligned)
                CopyElements(pass, source, null);
            else if (_places.HasPiece is { } hasPiece)
                CopyWhere(hasPiece, pass, source);
            else
                _e.Copy(_places.Address(pass), _places.Offset(pass), source);
            _e.Add(source, step, source);
        }
    }

    /// <summary>Starts copying the rows that there are.</summary>
    /// <param name="source">The address of the thread's next piece.</param>
    /// <param name="step">See <see cref="Step"/>.</param>
    /// <param name="rows">Rows from the first one of the tile; fewer than there are in a tile, or none.</param>
    /// <param name="clears">Whether the other rows become zeros.</param>
    public void Copy(Wide source, Wide step, Word rows, bool clears)
    {
        // 2 comparisons a piece and not 1 for each pass.
        Word left = _e.Subtract(rows, _places.Row);
        if (_places.HasPiece is { } hasPiece && _isAligned)
            left = _e.Select(left, 0, hasPiece);
        for (int pass = 0; pass < _places.Count; pass++)
        {
            Predicate isThere = _e.Compare("gt", left, pass * _places.RowsApart);
            if (!_isAligned)
            {
                CopyElements(pass, source, isThere);
            }
            else
            {
                CopyWhere(isThere, pass, source);
                if (clears)
                    ClearWhereNot(isThere, pass);
            }

            _e.Add(source, step, source);
        }
    }

    private void CopyWhere(Predicate condition, int pass, Wide source)
    {
        using PtxText.Scope scope = _e.When(condition);
        _e.Copy(_places.Address(pass), _places.Offset(pass), source);
    }

    // Threads behind the last piece have nothing to clear: the padding is zeros already.
    private void ClearWhereNot(Predicate condition, int pass)
    {
        Predicate clears = _places.HasPiece is { } hasPiece
            ? _e.CompareAnd("eq", _e.Select((Word)1, 0, condition), 0, hasPiece)
            : condition;
        using PtxText.Scope scope = _e.When(clears, _places.HasPiece is not null);
        StoreZeros(pass);
    }

    private void StoreZeros(int pass) => _e.StoreSharedPiece(_places.Address(pass), _places.Offset(pass), [0, 0, 0, 0]);

    // A load of 2 bytes for each element, for rows that start anywhere.
    private void CopyElements(int pass, Wide source, Predicate? isThere)
    {
        Word columns = _e.MultiplyAdd(_places.Piece, -SharedTile.PieceElements, _tile.Columns);
        if (isThere is { } there)
            columns = _e.Select(columns, 0, there);
        Word[] words = new Word[PtxText.PieceBytes / sizeof(int)];
        for (int i = 0; i < words.Length; i++)
            words[i] = _e.Or(Element(2 * i), _e.ShiftLeft(Element(2 * i + 1), 16));
        Predicate isInTile = _e.Compare("lt", _places.Piece, _tile.PaddedPieces);
        using PtxText.Scope scope = _e.When(isInTile);
        _e.StoreSharedPiece(_places.Address(pass), _places.Offset(pass), words);

        Word Element(int column)
        {
            Word element = _e.Move((Word)0);
            Predicate exists = _e.Compare("gt", columns, column);
            using PtxText.Scope guard = _e.When(exists);
            return _e.LoadHalf(source, column * ElementBytes, element);
        }
    }
}
