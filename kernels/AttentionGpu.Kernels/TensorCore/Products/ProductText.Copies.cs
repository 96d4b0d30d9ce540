using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.TensorCore.Tiles;

namespace AttentionGpu.Kernels.TensorCore.Products;

/// <summary>What is copied to shared memory: a stage of both operands at a time.</summary>
public sealed partial class ProductText
{
    /// <summary>
    /// A thread's copies. It has one piece of every so many rows, first of the left operand and then of the right one, at the same place of
    /// the depth.
    /// </summary>
    private sealed class Copies
    {
        private readonly ProductText _text;
        private readonly PtxText _e;
        private readonly ProductTile _tile;
        private readonly TilePlaces _places;
        private readonly Word _column;
        private readonly Wide _step;
        private readonly Operand[] _operands;

        public Copies(ProductText text)
        {
            (_text, _e, _tile) = (text, text._e, text._tile);
            _places = new TilePlaces(_e, _tile.Stage, _e.Shared, _tile.Threads);
            _column = _e.Multiply(_places.Piece, SharedTile.PieceElements);
            Word depth = _text._arguments.Load((ref ProductTextArguments a) => ref a.Sizes.Depth);
            Left = _e.Move(depth, _e.New<Word>());
            Wide stride = _e.MultiplyWide(depth, ElementBytes);
            _step = _e.MultiplyWide(depth, _places.RowsApart * ElementBytes);
            int passes = _tile.Rows / _places.RowsApart;
            _operands =
            [
                Of(0, passes, text._firstRow, text._rows, text._arguments.Load((ref ProductTextArguments a) => ref a.Left)),
                Of(passes, _places.Count, text._firstColumn, text._columns, text._arguments.Load((ref ProductTextArguments a) => ref a.Right)),
            ];

            Operand Of(int first, int end, Word firstRow, Word rows, Wide matrix)
            {
                Wide row = _e.Add(matrix, _e.Multiply(_e.Widen(_e.Add(firstRow, _places.Row)), stride));
                Wide source = _e.Move(_e.Add(row, _e.MultiplyWide(_places.Piece, PtxText.PieceBytes)), _e.New<Wide>());
                return new Operand(source, _e.Subtract(rows, _places.Row), first, end);
            }
        }

        /// <summary>What is left of the depth from the next stage on; less than nothing behind the last one.</summary>
        public Word Left { get; }

        /// <summary>Copies a stage whose rows and depth all exist. An instruction a piece, and one addition of 64 bits.</summary>
        public void Whole(Word stage)
        {
            Word target = Target(stage);
            ForEachPiece((operand, pass, source) =>
            {
                if (_text._form.IsInputAligned)
                    _e.Copy(target, _places.Offset(pass), source);
                else
                    StoreElements(target, pass, column => _e.LoadHalf(source, column * ElementBytes));
            });
            Advance();
        }

        /// <summary>
        /// Copies what exists of a stage. What is behind the depth becomes zeros, since not-a-number times 0 is none; what is in place of
        /// missing rows reaches no row that exists.
        /// </summary>
        public void Part(Word stage)
        {
            using (_e.If(_e.Compare("gt", Left, 0)))
            {
                Word target = Target(stage);
                if (_text._form.IsInputAligned)
                    PartOfPieces(target);
                else
                    PartOfElements(target);
            }

            Advance();
        }

        private void PartOfPieces(Word target)
        {
            Predicate exists = _e.Compare("lt", _column, Left);
            Word[] rows = [.. _operands.Select(operand => _e.Select(operand.Rows, 0, exists))];
            ForEachPiece((operand, pass, source) =>
            {
                using PtxText.Scope guard = _e.When(IsThere(rows[Array.IndexOf(_operands, operand)], operand, pass));
                _e.Copy(target, _places.Offset(pass), source);
            });
            using (_e.If(_e.Compare("lt", Left, _tile.Depth)))
            {
                using PtxText.Scope guard = _e.When(exists, holds: false);
                for (int pass = 0; pass < _places.Count; pass++)
                    _e.StoreSharedPiece(target, _places.Offset(pass), [0, 0, 0, 0]);
            }
        }

        private void PartOfElements(Word target)
        {
            Word columns = _e.Subtract(Left, _column);
            ForEachPiece((operand, pass, source) =>
            {
                Word there = _e.Select(columns, 0, IsThere(operand.Rows, operand, pass));
                StoreElements(target, pass, column =>
                {
                    Word element = _e.Move(0, _e.New<Word>());
                    using PtxText.Scope guard = _e.When(_e.Compare("gt", there, column));
                    return _e.LoadHalf(source, column * ElementBytes, element);
                });
            });
        }

        private Predicate IsThere(Word rows, Operand operand, int pass) =>
            _e.Compare("gt", rows, (pass - operand.FirstPass) * _places.RowsApart);

        // A thread's rows are a multiple of 8 apart, so that all have its pieces in the same place.
        private Word Target(Word stage) => _e.Add(_places.Address(0), stage);

        private void ForEachPiece(Action<Operand, int, Wide> copy)
        {
            foreach (Operand operand in _operands)
            {
                Wide source = _e.Move(operand.Source, _e.New<Wide>());
                for (int pass = operand.FirstPass; pass < operand.EndPass; pass++)
                {
                    copy(operand, pass, source);
                    if (pass + 1 < operand.EndPass)
                        _e.Add(source, _step, source);
                }
            }
        }

        private void StoreElements(Word target, int pass, Func<int, Word> load)
        {
            Word[] elements = [.. Enumerable.Range(0, SharedTile.PieceElements).Select(load)];
            Word[] piece = [.. elements.Chunk(2).Select(pair => _e.Or(pair[0], _e.ShiftLeft(pair[1], 16)))];
            _e.StoreSharedPiece(target, _places.Offset(pass), piece);
        }

        private void Advance()
        {
            foreach (Operand operand in _operands)
                _e.Add(operand.Source, _tile.Depth * ElementBytes, operand.Source);
            _e.Subtract(Left, _tile.Depth, Left);
        }

        /// <summary>The thread's pieces of an operand.</summary>
        /// <param name="Source">The address of its first piece of the next stage.</param>
        /// <param name="Rows">Rows that there are from that of the first piece on.</param>
        /// <param name="FirstPass">Its first piece among those of a stage.</param>
        /// <param name="EndPass">The piece behind its last one.</param>
        private sealed record Operand(Wide Source, Word Rows, int FirstPass, int EndPass);
    }
}
