using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention;

/// <summary>What becomes of scores: changes, bounds, and the weights of an online softmax.</summary>
/// <remarks>
/// A weight is <c>2^(score * factor + shift)</c>, one multiply-add and one exponential. The shift is that of the row's maximum when the
/// outputs were last made smaller; they are again when the maximum has grown by 8 powers of two, which on most blocks none has. Weights are
/// 256 at most, so that they fit into float16, and the sums of both have the same shift.
/// </remarks>
public sealed partial class AttentionText
{
    private const int MarkPositive = ValuePass.Scaled + 1;
    private const int MarkNegative = MarkPositive + 1;
    private const int MarkNaN = MarkNegative + 1;

    // Powers of two that a weight may have before the outputs are made smaller.
    private const float Headroom = 8f;
    private const float ShrinkBits = 32f;

    // exp(x) = 2^(x * log2(e)).
    private const float Log2E = 1.44269504f;
    private const float Ln2 = 0.693147181f;

    // Registers of each row: what a score must exceed for the shift to change, the shift, and the sum of the weights.
    private Real[] _limits = [];
    private Real[] _shifts = [];
    private Real[] _sums = [];

    private Word[] _queries = [];
    private Real _scale;
    private Real _factor;
    private Real _headroom;
    private Real _shrink;
    private ScorePlace? _place;

    private void StartRows() =>
        _queries = [.. Enumerable.Range(0, Rows).Select(row => _e.Add(_row, row * TileColumns))];

    private void StartScores()
    {
        _scale = _arguments.Load((ref AttentionTextArguments a) => ref a.Attention.Scale);
        _factor = _form.ScalesScores ? Log2E : _e.Multiply(_scale, Log2E);
        _headroom = _form.ScalesScores ? Headroom / Log2E : _e.Multiply(_e.FastReciprocal(_factor), Headroom);
        _scores = _e.New<Real>(_tile.RowTiles * ScoreTiles * TileSums);
        _outputs = _e.New<Real>(_tile.RowTiles * OutputTiles * TileSums);
        (_limits, _shifts, _sums) = (_e.New<Real>(Rows), _e.New<Real>(Rows), _e.New<Real>(Rows));
        if (_variants.Count == 0)
            return;
        Word last = _e.Subtract(_sequence.QueryLength, 1);
        _place = new ScorePlace
        {
            E = _e,
            Batch = _batch,
            Head = _head,
            Sequence = _sequence,
            Queries = [.. _queries.Select(query => _e.Min(query, last))],
            Scale = _scale,
        };
        foreach (ScoreText variant in _variants)
            variant.Start(_place);
    }

    private void StartPass()
    {
        // The sum of the weights becomes so much smaller too: the mean stays as it is.
        _shrink = _e.Select(-ShrinkBits, 0f, _e.Compare("eq", _pass, ValuePass.Scaled));
        foreach (Real output in _outputs)
            _e.Move(0f, output);
        for (int row = 0; row < Rows; row++)
        {
            _e.Move(float.NegativeInfinity, _limits[row]);
            _e.Move(0f, _shifts[row]);
            _e.Move(0f, _sums[row]);
        }
    }

    // A thread's key of its 2 i-th and next score of a row, counted from its first.
    private static int Column(int index) => index / 2 * TileColumns + index % 2;

    private Real ScoreAt(int row, int index) => _scores[ScoreIndex(row, index)];

    private int ScoreIndex(int row, int index) => (row / 2 * ScoreTiles + index / 2) * TileSums + row % 2 * 2 + index % 2;

    private void ChangeScores(bool isWhole)
    {
        if (_place is not null)
        {
            _place.StartBlock(_e.Add(_key, _column), isWhole);
            foreach (ScoreText variant in _variants)
                variant.StartBlock(_place);
        }

        // Where nothing changes scores, bounds alone hide them.
        if (_form.ScalesScores)
        {
            for (int index = 0; index < 2 * ScoreTiles; index++)
            {
                foreach (ScoreText variant in _variants)
                    variant.StartColumn(_place!, Column(index));
                for (int row = 0; row < Rows; row++)
                {
                    var score = new Score(_e, ScoreAt(row, index), _scale, row, Column(index));
                    foreach (ScoreText variant in _variants)
                        variant.Change(_place!, score);
                    score.Scale();
                }
            }
        }

        if (!isWhole)
            HideOutside();
    }

    // A comparison, or two with a window, and a selection for each score.
    private void HideOutside()
    {
        Word first = _e.Add(_key, _column);
        Word? end = null;
        for (int row = 0; row < Rows; row++)
        {
            if (end is null || !_sequence.IsSameForAll)
                end = _e.Subtract(_sequence.EndKey(_queries[row]), first);
            Word? start = _sequence.FirstKey(_queries[row]) is { } key ? _e.Subtract(key, first) : null;
            for (int index = 0; index < 2 * ScoreTiles; index++)
            {
                Predicate isVisible = _e.Compare("gt", end.Value, Column(index));
                if (start is { } least)
                    isVisible = _e.CompareAnd("le", least, Column(index), isVisible);
                _e.Select(ScoreAt(row, index), float.NegativeInfinity, isVisible, ScoreAt(row, index));
            }
        }
    }

    // For each score a maximum, a multiply-add, an exponential and an addition.
    private void Softmax()
    {
        string weighed = _e.NewLabel("weighed");
        using (_e.If(_e.Compare("ge", _pass, MarkPositive)))
        {
            foreach (Real score in _scores)
                _e.Select(1f, 0f, _e.Compare("gt", score, float.NegativeInfinity), score);
            _e.Branch(weighed);
        }

        Real[] maxima = [.. Enumerable.Range(0, Rows).Select(RowMaximum)];
        Predicate grows = _e.Compare("gt", maxima[0], _limits[0]);
        for (int row = 1; row < Rows; row++)
            grows = _e.CompareOr("gt", maxima[row], _limits[row], grows);
        using (_e.If(_e.AnyOfWarp(grows)))
        {
            Shrink(maxima);
        }

        for (int row = 0; row < Rows; row++)
        {
            for (int index = 0; index < 2 * ScoreTiles; index++)
            {
                Real score = ScoreAt(row, index);
                _e.MultiplyAdd(score, _factor, _shifts[row], score);
                _e.Power2(score, score);
                _e.Add(_sums[row], score, _sums[row]);
            }
        }

        _e.Mark(weighed);
    }

    private Real RowMaximum(int row)
    {
        Real maximum = _e.Max(ScoreAt(row, 0), ScoreAt(row, 1));
        for (int index = 2; index < 2 * ScoreTiles; index++)
            _e.Max(maximum, ScoreAt(row, index), maximum);
        maximum = _e.Max(maximum, _e.Exchange(maximum, 2));
        return _e.Max(maximum, _e.Exchange(maximum, 1));
    }

    // A row whose maximum has not grown by so much keeps its shift, and its factor is 1: no row depends on its neighbours.
    private void Shrink(Real[] maxima)
    {
        for (int row = 0; row < Rows; row++)
        {
            Predicate grows = _e.Compare("gt", maxima[row], _limits[row]);
            Predicate isFirst = _e.Compare("eq", _limits[row], float.NegativeInfinity);
            Real shift = _e.Subtract(_shrink, _e.Multiply(maxima[row], _factor));

            // Before the first visible key the outputs are 0, and the difference of the shifts says nothing.
            Real factor = _e.Power2(_e.Subtract(shift, _shifts[row]));
            factor = _e.Select(_e.Select(0f, factor, isFirst), 1f, grows);
            _e.Select(shift, _shifts[row], grows, _shifts[row]);
            _e.Select(_e.Add(maxima[row], _headroom), _limits[row], grows, _limits[row]);
            _e.Multiply(_sums[row], factor, _sums[row]);
            for (int tile = 0; tile < OutputTiles; tile++)
            {
                for (int part = 0; part < 2; part++)
                {
                    Real output = OutputAt(row, tile, part);
                    _e.Multiply(output, factor, output);
                }
            }
        }
    }

    private Real OutputAt(int row, int tile, int part) => _outputs[(row / 2 * OutputTiles + tile) * TileSums + row % 2 * 2 + part];
}
