using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention.Variants;

/// <summary>What a <see cref="DocumentText"/> needs at a launch.</summary>
public struct DocumentArguments
{
    /// <summary>The address of the queries' numbers.</summary>
    public long Queries;

    /// <summary>The address of the keys' numbers.</summary>
    public long Keys;

    /// <summary>See <see cref="DocumentMask.QueryPitch"/>.</summary>
    public int QueryPitch;

    /// <summary>See <see cref="DocumentMask.KeyPitch"/>.</summary>
    public int KeyPitch;
}

/// <summary><see cref="DocumentMask"/>: a load of 4 bytes a key, a comparison and a selection a score.</summary>
public sealed class DocumentText : ScoreText
{
    private readonly KeyRow _row = new(sizeof(int));
    private Word[] _queries = [];
    private Word _key;

    /// <inheritdoc/>
    public override void Start(ScorePlace place)
    {
        PtxText e = place.E;
        PtxParameter<DocumentArguments> arguments = e.Parameter<DocumentArguments>();
        Wide queries = e.Add(
            arguments.Load((ref DocumentArguments a) => ref a.Queries),
            e.Multiply(
                e.MultiplyWide(place.Batch, arguments.Load((ref DocumentArguments a) => ref a.QueryPitch)), sizeof(int)));
        _queries = [.. place.Queries.Select(query => e.LoadWord(e.Add(queries, e.MultiplyWide(query, sizeof(int)))))];
        _row.Start(
            place, arguments.Load((ref DocumentArguments a) => ref a.Keys), arguments.Load((ref DocumentArguments a) => ref a.KeyPitch));
    }

    /// <inheritdoc/>
    public override void StartBlock(ScorePlace place) => _row.StartBlock(place);

    /// <inheritdoc/>
    public override void StartColumn(ScorePlace place, int column)
    {
        _key = place.E.Move((Word)0, place.E.New<Word>());
        using (place.WhereKeyExists(column))
        {
            place.E.LoadWord(_row.Address, column * sizeof(int), _key);
        }
    }

    /// <inheritdoc/>
    public override void Change(ScorePlace place, Score score) => score.Hide(place.E.Compare("eq", _queries[score.Row], _key));
}
