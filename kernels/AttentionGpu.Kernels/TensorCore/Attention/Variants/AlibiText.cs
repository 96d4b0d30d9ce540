using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention.Variants;

/// <summary>What an <see cref="AlibiText"/> needs at a launch.</summary>
public struct AlibiArguments
{
    /// <summary>The address of the slopes.</summary>
    public long Slopes;

    /// <summary>See <see cref="Alibi.BatchStride"/>.</summary>
    public int BatchStride;
}

/// <summary><see cref="Alibi"/>: three instructions a score, the scale in one of them.</summary>
public sealed class AlibiText : ScoreText
{
    private Real _slope;
    private Word[] _positions = [];
    private Real[] _distances = [];

    /// <inheritdoc/>
    public override void Start(ScorePlace place)
    {
        PtxText e = place.E;
        PtxParameter<AlibiArguments> arguments = e.Parameter<AlibiArguments>();
        Word element = e.MultiplyAdd(place.Batch, arguments.Load((ref AlibiArguments a) => ref a.BatchStride), place.Head);
        Wide address = e.Add(arguments.Load((ref AlibiArguments a) => ref a.Slopes), e.MultiplyWide(element, sizeof(float)));
        _slope = e.Negate(e.LoadFloat(address));
        _positions = [.. place.Queries.Select(query => e.Add(query, place.Sequence.DistanceOffset))];
    }

    /// <inheritdoc/>
    public override void StartBlock(ScorePlace place) => _distances =
        [.. _positions.Select(position => place.E.ToReal(place.E.Subtract(position, place.FirstKey)))];

    /// <inheritdoc/>
    public override void Change(ScorePlace place, Score score)
    {
        PtxText e = place.E;
        Real distance = e.Abs(e.Add(_distances[score.Row], -score.Column));
        score.Add(e.Multiply(distance, _slope));
    }
}
