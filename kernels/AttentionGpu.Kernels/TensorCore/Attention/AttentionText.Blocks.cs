using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.TensorCore.Tiles;

namespace AttentionGpu.Kernels.TensorCore.Attention;

/// <summary>The blocks of keys: the order in which they come, their copies, and the two products of each.</summary>
public sealed partial class AttentionText
{
    // Four sums of a tile of 16 x 8.
    private const int TileSums = 4;
    private const int TileColumns = 8;

    private Real[] _scores = [];
    private Real[] _outputs = [];
    private Word _key;
    private Word _endKey;

    private int ScoreTiles => _tile.Keys / TileColumns;

    private int OutputTiles => 2 * _tile.Value.Steps;

    // Blocks that every query sees whole have no bounds, and a loop of their own. Only a window has others before them.
    private void Blocks(GroupTiles tiles)
    {
        string whole = _e.NewLabel("whole");
        string parts = _e.NewLabel("parts");
        string done = _e.NewLabel("done");
        Word lastQuery = _e.Subtract(_e.Min(_e.Add(_firstQuery, _tile.Queries), _sequence.QueryLength), 1);
        _key = _e.Move(_sequence.FirstKey(_firstQuery) ?? 0, _e.New<Word>());
        _endKey = _e.Move(_sequence.EndKey(lastQuery), _e.New<Word>());
        Word? firstWhole = _sequence.FirstKey(lastQuery);
        Word lastWhole = _e.Subtract(_sequence.EndKey(_firstQuery), _tile.Keys);
        var copies = new Copies(this, tiles);
        _e.BranchIf(_e.Compare("ge", _key, _endKey), done);
        copies.Start();

        Predicate isPart = _e.Compare("gt", _key, lastWhole);
        _e.BranchIf(isPart, parts);
        if (firstWhole is { } first)
            _e.BranchIf(_e.Compare("lt", _key, first), parts);
        _e.Mark(whole);
        Block(tiles, copies, isWhole: true);
        _e.BranchIf(_e.Compare("le", _key, lastWhole), whole);
        _e.BranchIf(_e.Compare("ge", _key, _endKey), done);

        _e.Mark(parts);
        Block(tiles, copies, isWhole: false);
        if (firstWhole is { } border)
            _e.BranchIf(_e.CompareAnd("ge", _key, border, _e.Compare("le", _key, lastWhole)), whole);
        _e.BranchIf(_e.Compare("lt", _key, _endKey), parts);
        _e.Mark(done);
        _e.Wait();
        _e.Barrier();
    }

    private void Block(GroupTiles tiles, Copies copies, bool isWhole)
    {
        _e.Comment(isWhole ? "A block that every query sees whole." : "A block that some queries see in part.");
        _e.Wait();
        _e.Barrier();
        copies.Values(isWhole);
        _e.Commit();
        Products(_scores, tiles.Queries, tiles.Keys, ScoreTiles / 2, _tile.Key.Steps);
        _e.Wait();
        _e.Barrier();
        copies.NextKeys(isWhole);
        _e.Commit();
        using (_e.If(_e.Compare("ne", _pass, 0)))
        {
            ReplaceValues();
        }

        ChangeScores(isWhole);
        Softmax();
        AddValues(tiles.Values);
        _e.Add(_key, _tile.Keys, _key);
    }

    // For a step of 16: RowTiles ldmatrix of queries, one of keys for 16 of them, and 2 RowTiles mma for each.
    private void Products(Real[] sums, MatrixReader left, MatrixReader right, int pairs, int steps)
    {
        for (int step = 0; step < steps; step++)
        {
            Word[][] rows = [.. Enumerable.Range(0, _tile.RowTiles).Select(tile => left.Read(tile * AttentionTile.TileRows, step))];
            for (int pair = 0; pair < pairs; pair++)
            {
                Word[] columns = right.Read(pair * 2 * TileColumns, step);
                for (int tile = 0; tile < _tile.RowTiles; tile++)
                {
                    for (int half = 0; half < 2; half++)
                    {
                        Span<Real> target = sums.AsSpan((tile * pairs * 2 + 2 * pair + half) * TileSums, TileSums);
                        _e.MatrixMultiply(_element, target, rows[tile], columns[2 * half], columns[2 * half + 1], step == 0);
                    }
                }
            }
        }
    }

    // For 16 keys: 4 RowTiles packings, one ldmatrix for 16 columns of values, and 2 RowTiles mma for each.
    private void AddValues(MatrixReader values)
    {
        for (int step = 0; step < _tile.Keys / 16; step++)
        {
            Word[][] weights = [.. Enumerable.Range(0, _tile.RowTiles).Select(tile => Weights(tile, step))];
            for (int pair = 0; pair < OutputTiles / 2; pair++)
            {
                Word[] columns = values.Read(step * 16, pair, isTransposed: true);
                for (int tile = 0; tile < _tile.RowTiles; tile++)
                {
                    for (int half = 0; half < 2; half++)
                    {
                        Span<Real> target = _outputs.AsSpan((tile * OutputTiles + 2 * pair + half) * TileSums, TileSums);
                        _e.MatrixMultiply(_element, target, weights[tile], columns[2 * half], columns[2 * half + 1], isFirst: false);
                    }
                }
            }
        }

        // The sums of two tiles of a product are the left operand of the next, half by half.
        Word[] Weights(int tile, int step) => [.. Enumerable.Range(0, 4).Select(part =>
        {
            int first = (tile * ScoreTiles + 2 * step) * TileSums + 2 * part;
            return _e.Pack(_element, _scores[first], _scores[first + 1]);
        })];
    }
}
