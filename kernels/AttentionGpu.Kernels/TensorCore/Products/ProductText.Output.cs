using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.TensorCore.Tiles;

namespace AttentionGpu.Kernels.TensorCore.Products;

/// <summary>The end of a group: sums are rounded, and go through shared memory so that a thread writes neighbours of a row.</summary>
public sealed partial class ProductText
{
    private void StoreResult()
    {
        Word piece = _e.ShiftRight(_warpColumn, 3);
        var pairs = new PairStore(_e, _tile.Result, _e.Shared, _warpRow, piece);
        for (int row = 0; row < RowSteps; row++)
        {
            for (int half = 0; half < 2; half++)
            {
                for (int column = 0; column < ColumnSteps; column++)
                {
                    Span<Real> sums = Sums(row, column)[(half * HalfSums)..];
                    pairs.Store(row * ProductTile.StepRows + half * HalfRows, column, _e.Pack(_element, sums[0], sums[1]));
                }
            }
        }

        _e.Barrier();
        if (_form.IsOutputAligned)
            StorePieces();
        else
            StoreElements();
    }

    // A thread has a piece of every so many rows. Two instructions for each, and three for its guard and the next address.
    private void StorePieces()
    {
        var places = new TilePlaces(_e, _tile.Result, _e.Shared, _tile.Threads);
        Word column = _e.Multiply(places.Piece, SharedTile.PieceElements);
        Word rows = _e.Select(_e.Subtract(_rows, places.Row), 0, _e.Compare("lt", column, _columns));
        Wide offset = ColumnBytes(_e.Add(_firstColumn, column));
        var target = new ResultRows(this, _e.Add(_firstRow, places.Row), places.RowsApart);
        for (int i = 0; i < places.Count; i++)
        {
            Word[] piece = _e.LoadSharedPiece(places.Address(i), places.Offset(i));
            Wide address = _e.Add(target.Address, offset);
            using (_e.When(_e.Compare("gt", rows, i * places.RowsApart)))
            {
                _e.StorePiece(address, 0, piece);
            }

            target.Next();
        }
    }

    // A warp has every so many rows, a thread every 32nd element of the row.
    private void StoreElements()
    {
        SharedTile tile = _tile.Result;
        Word[] columns = [.. Enumerable.Range(0, _tile.Columns / PtxText.WarpSize).Select(i => _e.Add(_lane, i * PtxText.WarpSize))];
        Wide[] offsets = [.. columns.Select(column => ColumnBytes(_e.Add(_firstColumn, column)))];
        Predicate[] exists = [.. columns.Select(column => _e.Compare("lt", column, _columns))];
        Word row = _e.Move(_e.ShiftRight(_e.Thread, 5), _e.New<Word>());
        Word rows = _e.Min(_rows, _tile.Rows);
        var target = new ResultRows(this, _e.Add(_firstRow, row), _tile.Warps);
        string next = _e.NewLabel("row");
        _e.Mark(next);
        using (_e.If(_e.Compare("lt", row, rows)))
        {
            for (int i = 0; i < columns.Length; i++)
            {
                Word inPiece = _e.ShiftLeft(_e.And(columns[i], SharedTile.PieceElements - 1), 1);
                Word place = _e.Add(tile.Address(_e, _e.Shared, row, _e.ShiftRight(columns[i], 3)), inPiece);
                Word element = _e.LoadSharedHalf(place);
                Wide address = _e.Add(target.Address, offsets[i]);
                using PtxText.Scope guard = _e.When(exists[i]);
                _e.StoreHalf(address, 0, element);
            }

            target.Next();
            _e.Add(row, _tile.Warps, row);
            _e.Branch(next);
        }
    }

    // Bytes from the start of a row to a column.
    private Wide ColumnBytes(Word column)
    {
        if (!_form.IsSplit)
            return _e.MultiplyWide(column, ElementBytes);
        Word size = _arguments.Load((ref ProductTextArguments a) => ref a.ResultLayout.HeadSize);
        Wide stride = _arguments.Load((ref ProductTextArguments a) => ref a.ResultLayout.HeadStride);
        Word head = _e.Divide(column, size);
        Wide inHead = _e.Widen(_e.Subtract(column, _e.Multiply(head, size)));
        return _e.Multiply(_e.Add(_e.Multiply(_e.Widen(head), stride), inHead), ElementBytes);
    }

    /// <summary>
    /// The addresses of rows of the result that are so many apart. Of a split one the row and the step are divided once: a sum that comes
    /// to the number of inner rows goes on in the next outer one.
    /// </summary>
    private sealed class ResultRows
    {
        private readonly PtxText _e;
        private readonly Wide _step;
        private readonly Split? _split;

        public ResultRows(ProductText text, Word first, int apart)
        {
            _e = text._e;
            PtxParameter<ProductTextArguments> arguments = text._arguments;
            Wide result = arguments.Load((ref ProductTextArguments a) => ref a.Result);
            Wide inner = Bytes((ref ProductTextArguments a) => ref a.ResultLayout.InnerRowStride);
            if (!text._form.IsSplit)
            {
                Address = _e.Move(_e.Add(result, _e.Multiply(_e.Widen(first), inner)), _e.New<Wide>());
                _step = _e.Multiply(inner, apart);
                return;
            }

            Wide outer = Bytes((ref ProductTextArguments a) => ref a.ResultLayout.OuterRowStride);
            Word count = arguments.Load((ref ProductTextArguments a) => ref a.ResultLayout.InnerRows);
            (Wide start, Word row) = Place(first);
            Address = _e.Move(_e.Add(result, start), _e.New<Wide>());
            (_step, Word step) = Place(apart);
            Wide back = _e.Multiply(_e.Multiply(_e.Widen(count), inner), -1);
            _split = new Split(_e.Move(row, _e.New<Word>()), step, count, _e.Add(outer, back));

            (Wide Bytes, Word Inner) Place(Word rows)
            {
                Word quotient = _e.Divide(rows, count);
                Word rest = _e.Subtract(rows, _e.Multiply(quotient, count));
                return (_e.Add(_e.Multiply(_e.Widen(quotient), outer), _e.Multiply(_e.Widen(rest), inner)), rest);
            }

            Wide Bytes(PtxField<ProductTextArguments, long> stride) => _e.Multiply(arguments.Load(stride), ElementBytes);
        }

        /// <summary>The address of the row.</summary>
        public Wide Address { get; }

        /// <summary>Goes on to the next row. One addition of 64 bits; of a split one two, and four instructions more.</summary>
        public void Next()
        {
            _e.Add(Address, _step, Address);
            if (_split is not { } split)
                return;
            _e.Add(split.Inner, split.Step, split.Inner);
            using PtxText.Scope guard = _e.When(_e.Compare("ge", split.Inner, split.Count));
            _e.Subtract(split.Inner, split.Count, split.Inner);
            _e.Add(Address, split.NextOuter, Address);
        }

        /// <summary>Where a row is among the inner ones.</summary>
        /// <param name="Inner">Its number.</param>
        /// <param name="Step">What comes to it.</param>
        /// <param name="Count">Inner rows of an outer one.</param>
        /// <param name="NextOuter">Bytes from behind the last inner row to the first of the next outer one.</param>
        private sealed record Split(Word Inner, Word Step, Word Count, Wide NextOuter);
    }
}
