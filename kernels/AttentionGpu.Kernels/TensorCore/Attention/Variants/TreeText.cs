using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention.Variants;

/// <summary>What a <see cref="TreeText"/> needs at a launch.</summary>
public struct TreeArguments
{
    /// <summary>The address of the bits.</summary>
    public long Ancestors;

    /// <summary>See <see cref="TreeMask.Words"/>.</summary>
    public int Words;
}

/// <summary><see cref="TreeMask"/>: some ten instructions a score, of which a load of 4 bytes only for keys of the tree.</summary>
public sealed class TreeText : ScoreText
{
    private const int WordShift = 5;

    private Wide[] _rows = [];
    private Word _first;

    /// <inheritdoc/>
    public override void Start(ScorePlace place)
    {
        PtxText e = place.E;
        PtxParameter<TreeArguments> arguments = e.Parameter<TreeArguments>();
        Wide ancestors = arguments.Load((ref TreeArguments a) => ref a.Ancestors);
        Wide rowBytes = e.Multiply(e.Widen(arguments.Load((ref TreeArguments a) => ref a.Words)), sizeof(int));
        _rows =
        [
            .. place.Queries.Select(query => e.Add(
                ancestors, e.Multiply(e.Widen(e.Add(place.Sequence.QueryStart, query)), rowBytes))),
        ];
    }

    /// <inheritdoc/>
    public override void StartBlock(ScorePlace place) => _first = place.E.Subtract(
        place.FirstKey, place.E.Subtract(place.Sequence.KeyLength, place.Sequence.QueryLength));

    /// <inheritdoc/>
    public override void Change(ScorePlace place, Score score)
    {
        PtxText e = place.E;
        Word draft = e.Add(_first, score.Column);
        Predicate isInTree = e.CompareAnd(
            "ge", draft, 0, e.Compare("lt", place.Key(score.Column), place.Sequence.KeyLength));
        Wide address = e.Add(_rows[score.Row], e.MultiplyWide(e.ShiftRight(draft, WordShift), sizeof(int)));
        Word bits = e.Move((Word)(-1), e.New<Word>());
        using (e.When(isInTree))
        {
            e.LoadWord(address, 0, bits);
        }

        Word own = e.ShiftLeft((Word)1, e.And(draft, TreeMask.WordBits - 1));
        score.Hide(e.Compare("ne", e.And(bits, own), 0));
    }
}
