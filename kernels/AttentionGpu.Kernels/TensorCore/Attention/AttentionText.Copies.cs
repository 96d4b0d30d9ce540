using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention;

/// <summary>What is copied to shared memory, and when, and what becomes of values that are not finite.</summary>
public sealed partial class AttentionText
{
    private const int HalfBits = 0x7FFF;
    private const int SignBit = 0x8000;

    /// <summary>The bits of +inf.</summary>
    private int InfinityBits => _form.Element == TensorElement.Float16 ? 0x7C00 : 0x7F80;

    private int OneBits => _form.Element == TensorElement.Float16 ? 0x3C00 : 0x3F80;

    // What the pass looks for among the values: +inf, -inf or NaN; all NaN count as one.
    private Word Wanted() => _e.Select(
        InfinityBits, _e.Select((Word)(InfinityBits | SignBit), HalfBits, _e.Compare("eq", _pass, MarkNegative)),
        _e.Compare("eq", _pass, MarkPositive));

    // The whole group, in front of a barrier. In passes that mark, 1 for what the pass looks for and 0 for all else; in others 0 for what is
    // not finite.
    private void ReplaceValues()
    {
        Word end = _e.Add(_e.Shared, _tile.ValueStart + _tile.Value.Bytes);
        Word address = _e.Move(_e.MultiplyAdd(_e.Thread, sizeof(int), _e.Add(_e.Shared, _tile.ValueStart)), _e.New<Word>());
        Word wanted = Wanted();
        Predicate marks = _e.Compare("ge", _pass, MarkPositive);
        string next = _e.NewLabel("replace");
        _e.Mark(next);
        using (_e.If(_e.Compare("lt", address, end)))
        {
            Word both = _e.LoadShared(address);
            Word low = Replace(_e.And(both, ushort.MaxValue));
            Word high = Replace(_e.ShiftRight(both, 16));
            _e.StoreShared(address, 0, _e.Or(low, _e.ShiftLeft(high, 16)));
            _e.Add(address, AttentionTile.Threads * sizeof(int), address);
            _e.Branch(next);
        }

        _e.Barrier();

        Word Replace(Word bits)
        {
            Word size = _e.And(bits, HalfBits);
            Word kind = _e.Select(HalfBits, bits, _e.Compare("gt", size, InfinityBits));
            Word mark = _e.Select((Word)OneBits, 0, _e.Compare("eq", kind, wanted));
            Word finite = _e.Select(bits, 0, _e.Compare("lt", size, InfinityBits));
            return _e.Select(mark, finite, marks);
        }
    }

    /// <summary>The copies of a pass. Keys and values have one tile each.</summary>
    private sealed class Copies
    {
        private readonly AttentionText _text;
        private readonly PtxText _e;
        private readonly GroupTiles _tiles;
        private readonly Wide _keys;
        private readonly Wide _keyStep;
        private readonly Wide _values;
        private readonly Wide _valueStep;
        private readonly Word _lastWholeCopy;

        public Copies(AttentionText text, GroupTiles tiles)
        {
            (_text, _e, _tiles) = (text, text._e, tiles);
            Word firstRow = _e.Add(text._sequence.KeyStart, text._key);
            Wide keyStride = text.RowBytes((ref AttentionTextArguments a) => ref a.Key);
            Wide valueStride = text.RowBytes((ref AttentionTextArguments a) => ref a.Value);
            Wide keyRow = text.RowAddress(
                (ref AttentionTextArguments a) => ref a.Key, text._keyHead, firstRow, ElementBytes);
            Wide valueRow = text.RowAddress(
                (ref AttentionTextArguments a) => ref a.Value, text._keyHead, firstRow, ElementBytes);
            _keys = _e.Move(tiles.CopyKeys.Start(keyRow, keyStride), _e.New<Wide>());
            _values = _e.Move(tiles.CopyValues.Start(valueRow, valueStride), _e.New<Wide>());
            _keyStep = tiles.CopyKeys.Step(keyStride);
            _valueStep = tiles.CopyValues.Step(valueStride);
            _lastWholeCopy = _e.Min(_e.Subtract(text._sequence.KeyLength, text._tile.Keys), _e.Subtract(text._endKey, 1));
        }

        /// <summary>Starts with the queries and the first block of keys.</summary>
        public void Start()
        {
            Wide stride = _text.RowBytes((ref AttentionTextArguments a) => ref a.Query);
            Wide row = _text.RowAddress(
                (ref AttentionTextArguments a) => ref a.Query, _text._head, _e.Add(_text._sequence.QueryStart, _text._firstQuery), ElementBytes);
            _tiles.CopyQueries.Copy(
                _e.Move(_tiles.CopyQueries.Start(row, stride), _e.New<Wide>()), _tiles.CopyQueries.Step(stride),
                _e.Subtract(_text._sequence.QueryLength, _text._firstQuery), clears: true);
            _tiles.CopyKeys.Copy(_keys, _keyStep, _e.Subtract(_text._sequence.KeyLength, _text._key), clears: false);
            _e.Commit();
        }

        /// <summary>Copies the block's values; zeros in place of rows that there are not.</summary>
        public void Values(bool isWhole)
        {
            if (isWhole)
                _tiles.CopyValues.Copy(_values, _valueStep);
            else
                _tiles.CopyValues.Copy(_values, _valueStep, _e.Subtract(_text._sequence.KeyLength, _text._key), clears: true);
        }

        /// <summary>Copies the next block's keys, where there is one. What lies in place of rows that there are not is hidden.</summary>
        public void NextKeys(bool isWhole)
        {
            Word next = _e.Add(_text._key, _text._tile.Keys);
            string done = _e.NewLabel("copied");
            if (isWhole)
            {
                using (_e.If(_e.Compare("le", next, _lastWholeCopy)))
                {
                    _tiles.CopyKeys.Copy(_keys, _keyStep);
                    _e.Branch(done);
                }
            }

            Word rows = _e.Select(_e.Subtract(_text._sequence.KeyLength, next), 0, _e.Compare("lt", next, _text._endKey));
            _tiles.CopyKeys.Copy(_keys, _keyStep, rows, clears: false);
            _e.Mark(done);
        }
    }
}
