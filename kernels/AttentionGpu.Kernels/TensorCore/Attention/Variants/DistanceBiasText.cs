using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention.Variants;

/// <summary>What a <see cref="DistanceBiasText"/> needs at a launch.</summary>
public struct DistanceBiasArguments
{
    /// <summary>The address of the numbers.</summary>
    public long Data;

    /// <summary>See <see cref="DistanceBias.Reach"/>.</summary>
    public int Reach;
}

/// <summary>
/// <see cref="DistanceBias"/>: for a score an addition, two comparisons, an address of two instructions, a load of 4 bytes, and an addition
/// that takes in the scale.
/// </summary>
public sealed class DistanceBiasText : ScoreText
{
    private Wide _middle;
    private Word _reach;
    private Word _least;
    private Word[] _positions = [];
    private Word[] _distances = [];

    /// <inheritdoc/>
    public override void Start(ScorePlace place)
    {
        PtxText e = place.E;
        PtxParameter<DistanceBiasArguments> arguments = e.Parameter<DistanceBiasArguments>();
        _reach = arguments.Load((ref DistanceBiasArguments a) => ref a.Reach);
        _least = e.Subtract(0, _reach);
        Wide row = e.Add(e.MultiplyWide(place.Head, e.MultiplyAdd(_reach, 2, 1)), e.Widen(_reach));
        _middle = e.Add(arguments.Load((ref DistanceBiasArguments a) => ref a.Data), e.Multiply(row, sizeof(float)));
        _positions = [.. place.Queries.Select(query => e.Add(query, place.Sequence.DistanceOffset))];
    }

    /// <inheritdoc/>
    public override void StartBlock(ScorePlace place) =>
        _distances = [.. _positions.Select(position => place.E.Subtract(place.FirstKey, position))];

    /// <inheritdoc/>
    public override void Change(ScorePlace place, Score score)
    {
        PtxText e = place.E;
        Word distance = e.Max(e.Min(e.Add(_distances[score.Row], score.Column), _reach), _least);
        score.Add(e.LoadFloat(e.Add(_middle, e.MultiplyWide(distance, sizeof(float)))));
    }
}
