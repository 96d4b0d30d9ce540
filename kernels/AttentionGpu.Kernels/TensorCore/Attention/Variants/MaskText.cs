using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention.Variants;

/// <summary><see cref="BooleanMask"/>: a load of a byte, a comparison and a selection a score.</summary>
/// <param name="isSameForKeys">Whether a query has one byte for all keys.</param>
public sealed class MaskText(bool isSameForKeys) : ScoreText
{
    private readonly MaskRows _rows = new(sizeof(byte), isSameForKeys);
    private Word[] _same = [];

    /// <inheritdoc/>
    public override void Start(ScorePlace place) => _rows.Start(place);

    /// <inheritdoc/>
    public override void StartBlock(ScorePlace place)
    {
        _rows.StartBlock(place);
        if (isSameForKeys)
            _same = [.. _rows.Addresses.Select(address => place.E.LoadByte(address))];
    }

    /// <inheritdoc/>
    public override void Change(ScorePlace place, Score score) =>
        score.Hide(place.E.Compare("ne", isSameForKeys ? _same[score.Row] : Load(place, score), 0));

    private Word Load(ScorePlace place, Score score)
    {
        PtxText e = place.E;
        Word shows = place.IsWhole ? e.New<Word>() : e.Move((Word)0, e.New<Word>());
        using (place.WhereKeyExists(score.Column))
        {
            e.LoadByte(_rows.Addresses[score.Row], score.Column, shows);
        }

        return shows;
    }
}
