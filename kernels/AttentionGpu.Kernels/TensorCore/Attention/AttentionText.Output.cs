using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.TensorCore.Tiles;

namespace AttentionGpu.Kernels.TensorCore.Attention;

/// <summary>The end of a pass: sums become means and go to memory, or another pass is needed.</summary>
public sealed partial class AttentionText
{
    private const float LargestFloat16 = 65504f;
    private const float LargestBFloat16 = 3.38953139e38f;

    // The head's sink, and which rows have seen a key: the others' sum is the sink's weight alone.
    private Real _sink;
    private readonly Predicate[] _hasKeys;

    private void Finish(string pass)
    {
        string marks = _e.NewLabel("marks");
        _e.BranchIf(_e.Compare("ge", _pass, MarkPositive), marks);
        Predicate[] exists = [.. _queries.Select(query => _e.Compare("lt", query, _sequence.QueryLength))];
        if (_form.HasSinks)
        {
            Wide sinks = _arguments.Load((ref AttentionTextArguments a) => ref a.Sinks);
            _sink = _e.LoadFloat(_e.Add(sinks, _e.MultiplyWide(_head, sizeof(float))));
        }

        Real[] factors = [.. Enumerable.Range(0, Rows).Select(FinishRow)];
        Predicate any = _e.AnyOfGroup(AnyOutputNotFinite(factors, exists));
        string isLast = _e.NewLabel("store");
        _e.BranchIf(_e.Compare("ge", _pass, ValuePass.Scaled), isLast);
        using (_e.If(any))
        {
            _e.Add(_pass, 1, _pass);
            _e.Branch(pass);
        }

        _e.Mark(isLast);
        if (_form.HasLogSumExp)
            StoreLogSumExp(exists);
        StoreOutputs(factors);
        using (_e.If(_e.Compare("eq", _pass, ValuePass.Plain)))
        {
            _e.Return();
        }

        _e.Move(MarkPositive, _pass);
        _e.Barrier();
        _e.Branch(pass);

        _e.Mark(marks);
        MarkOutputs();
        _e.Barrier();
        _e.Add(_pass, 1, _pass);
        _e.BranchIf(_e.Compare("le", _pass, MarkNaN), pass);
        _e.Return();
    }

    // The row's sum over all threads, with the sink. What an output is multiplied by: 0 for a row without keys.
    private Real FinishRow(int row)
    {
        Real sum = _sums[row];
        _e.Add(sum, _e.Exchange(sum, 2), sum);
        _e.Add(sum, _e.Exchange(sum, 1), sum);
        if (!_form.HasSinks)
            return Factor(sum, sum);

        // The sink's weight with the row's shift, or where that would be above 1 the row's weights with the sink's.
        _hasKeys[row] = _e.Compare("neu", sum, 0f);
        Real power = _e.MultiplyAdd(_sink, Log2E, _shifts[row]);
        Real above = _e.Max(power, 0f);
        Real shrink = _e.Power2(_e.Negate(above));
        Real all = _e.MultiplyAdd(sum, shrink, _e.Power2(_e.Subtract(power, above)));
        _e.Subtract(_shifts[row], above, _shifts[row]);
        _e.Move(all, sum);
        return _e.Multiply(shrink, Factor(sum, sum));

        Real Factor(Real total, Real divisor) =>
            _e.Select(0f, _e.Reciprocal(divisor), _e.Compare("eq", total, 0f));
    }

    // 0 times a finite number is 0, and else NaN. A row whose sum of weights is NaN is NaN in any pass.
    private Predicate AnyOutputNotFinite(Real[] factors, Predicate[] exists)
    {
        Word found = _e.Move((Word)0);
        for (int row = 0; row < Rows; row++)
        {
            Real zero = _e.Move(0f, _e.New<Real>());
            for (int tile = 0; tile < OutputTiles; tile++)
            {
                for (int part = 0; part < 2; part++)
                    _e.MultiplyAdd(OutputAt(row, tile, part), 0f, zero, zero);
            }

            Predicate isFound = _e.CompareAnd("neu", zero, 0f, exists[row]);
            isFound = _e.CompareAnd("ge", factors[row], 0f, isFound);
            found = _e.Or(found, _e.Select((Word)1, 0, isFound));
        }

        return _e.Compare("ne", found, 0);
    }

    // ln of the sum of exponentials: a weight is e^score times 2^shift.
    private void StoreLogSumExp(Predicate[] exists)
    {
        Predicate isFirst = _e.Compare("eq", _column, 0);
        for (int row = 0; row < Rows; row++)
        {
            Wide address = RowAddress(
                (ref AttentionTextArguments a) => ref a.LogSumExp, _head, _e.Add(_sequence.QueryStart, _queries[row]), sizeof(float));
            Real value = _e.Multiply(_e.Subtract(_e.Log2(_sums[row]), _shifts[row]), Ln2);
            value = _form.HasSinks
                ? _e.Select(value, _sink, _hasKeys[row])
                : _e.Select(float.NegativeInfinity, value, _e.Compare("eq", _sums[row], 0f));
            Word stores = _e.Select(_e.Select((Word)1, 0, exists[row]), 0, isFirst);
            using PtxText.Scope guard = _e.When(_e.Compare("ne", stores, 0));
            _e.Store(address, value);
        }
    }

    // Through shared memory, so that a thread writes 16 bytes of a row.
    private void StoreOutputs(Real[] factors)
    {
        ToShared((row, tile) => _e.Pack(_element, Mean(row, tile, 0), Mean(row, tile, 1)));
        if (!_form.IsAligned)
        {
            ForEachElement((element, address) => _e.StoreHalf(address, 0, element));
            return;
        }

        Wide first = RowAddress(
            (ref AttentionTextArguments a) => ref a.Output, _head, _e.Add(_sequence.QueryStart, _firstQuery), ElementBytes);
        new TileStore(_e, _tile.Output, _e.Shared, AttentionTile.Threads).Store(
            first, RowBytes((ref AttentionTextArguments a) => ref a.Output), _e.Subtract(_sequence.QueryLength, _firstQuery));

        // The weights of the products are rounded and those of the sum are not, so a mean may be a little above its values: finite ones
        // have a finite mean.
        Real Mean(int row, int tile, int part)
        {
            Real mean = _e.Multiply(OutputAt(row, tile, part), factors[row]);
            return _e.Clamp(mean, _form.Element == TensorElement.Float16 ? LargestFloat16 : LargestBFloat16);
        }
    }

    // An output whose sum is more than 0 has seen a value that the pass looks for. One that has seen both infinities is NaN.
    private void MarkOutputs()
    {
        Word wanted = Wanted();
        ToShared((row, tile) => _e.Or(Mark(row, tile, 0), _e.ShiftLeft(Mark(row, tile, 1), 16)));
        ForEachElement((mark, address) =>
        {
            using (_e.If(_e.Compare("ne", mark, 0), isUniform: false))
            {
                Predicate isFinite = _e.Compare("lt", _e.And(_e.LoadHalf(address), HalfBits), InfinityBits);
                _e.StoreHalf(address, 0, _e.Select(mark, HalfBits, isFinite));
            }
        });

        Word Mark(int row, int tile, int part) => _e.Select(wanted, 0, _e.Compare("gt", OutputAt(row, tile, part), 0f));
    }

    // Two neighbouring elements of each tile of outputs, and a barrier.
    private void ToShared(Func<int, int, Word> elements)
    {
        var pairs = new PairStore(_e, _tile.Output, _e.Shared, _warpRow, 0);
        for (int row = 0; row < Rows; row++)
        {
            for (int piece = 0; piece < OutputTiles; piece++)
                pairs.Store(row * TileColumns, piece, elements(row, piece));
        }

        _e.Barrier();
    }

    // A warp has every fourth row, its threads every 32nd element of the row.
    private void ForEachElement(Action<Word, Wide> store)
    {
        SharedTile tile = _tile.Output;
        Word row = _e.Move(_e.ShiftRight(_e.Thread, 5), _e.New<Word>());
        Word rows = _e.Min(_e.Subtract(_sequence.QueryLength, _firstQuery), _tile.Queries);
        string nextRow = _e.NewLabel("row");
        _e.Mark(nextRow);
        using (_e.If(_e.Compare("lt", row, rows)))
        {
            Wide target = RowAddress(
                (ref AttentionTextArguments a) => ref a.Output, _head,
                _e.Add(_e.Add(_sequence.QueryStart, _firstQuery), row), ElementBytes);
            Word column = _e.Move(_lane, _e.New<Word>());
            string nextColumn = _e.NewLabel("column");
            _e.Mark(nextColumn);
            using (_e.If(_e.Compare("lt", column, _form.ValueHeadSize), isUniform: false))
            {
                Word inPiece = _e.ShiftLeft(_e.And(column, SharedTile.PieceElements - 1), 1);
                Word piece = tile.Address(_e, _e.Shared, row, _e.ShiftRight(column, 3));
                store(_e.LoadSharedHalf(_e.Add(piece, inPiece)), _e.Add(target, _e.MultiplyWide(column, ElementBytes)));
                _e.Add(column, PtxText.WarpSize, column);
                _e.Branch(nextColumn);
            }

            _e.Add(row, AttentionTile.Warps, row);
            _e.Branch(nextRow);
        }
    }
}
