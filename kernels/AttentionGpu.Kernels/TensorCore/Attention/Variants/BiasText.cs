using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention.Variants;

/// <summary>What a <see cref="BiasText"/> or a <see cref="MaskText"/> needs at a launch.</summary>
public struct MaskArguments
{
    /// <summary>The address of the first element.</summary>
    public long Data;

    /// <summary>Where a query's and key's element is.</summary>
    public MaskStrides Strides;
}

/// <summary><see cref="AdditiveBias"/>: a load of 4 bytes, an addition that takes in the scale, a comparison and a selection a score.</summary>
/// <param name="isSameForKeys">Whether a query has one number for all keys.</param>
public sealed class BiasText(bool isSameForKeys) : ScoreText
{
    private readonly MaskRows _rows = new(sizeof(float), isSameForKeys);
    private Real[] _same = [];

    /// <inheritdoc/>
    public override void Start(ScorePlace place) => _rows.Start(place);

    /// <inheritdoc/>
    public override void StartBlock(ScorePlace place)
    {
        _rows.StartBlock(place);
        if (isSameForKeys)
            _same = [.. _rows.Addresses.Select(address => place.E.LoadFloat(address))];
    }

    /// <inheritdoc/>
    public override void Change(ScorePlace place, Score score)
    {
        PtxText e = place.E;
        Real bias = isSameForKeys ? _same[score.Row] : Load(place, score);
        score.Add(bias);
        score.Hide(e.Compare("neu", bias, float.NegativeInfinity));
    }

    private Real Load(ScorePlace place, Score score)
    {
        PtxText e = place.E;
        Real bias = place.IsWhole ? e.New<Real>() : e.Move(0f, e.New<Real>());
        using (place.WhereKeyExists(score.Column))
        {
            e.LoadFloat(_rows.Addresses[score.Row], score.Column * sizeof(float), bias);
        }

        return bias;
    }
}

/// <summary>The thread's rows of a mask.</summary>
/// <param name="elementBytes">Bytes of an element.</param>
/// <param name="isSameForKeys">Whether a query has one element for all keys.</param>
internal sealed class MaskRows(int elementBytes, bool isSameForKeys)
{
    private Wide[] _rows = [];

    /// <summary>The address of each row's element for the thread's first key of the block.</summary>
    public Wide[] Addresses { get; private set; } = [];

    public void Start(ScorePlace place)
    {
        PtxText e = place.E;
        PtxParameter<MaskArguments> arguments = e.Parameter<MaskArguments>();
        Wide batch = e.Multiply(e.Widen(place.Batch), arguments.Load((ref MaskArguments a) => ref a.Strides.Batch));
        Wide head = e.Multiply(e.Widen(place.Head), arguments.Load((ref MaskArguments a) => ref a.Strides.Head));
        Wide matrix = e.Add(batch, head);
        Wide stride = arguments.Load((ref MaskArguments a) => ref a.Strides.Query);
        Wide data = arguments.Load((ref MaskArguments a) => ref a.Data);
        _rows =
        [
            .. place.Queries.Select(query => e.Add(
                data, e.Multiply(e.Add(matrix, e.Multiply(e.Widen(query), stride)), elementBytes))),
        ];
    }

    public void StartBlock(ScorePlace place) => Addresses = isSameForKeys
        ? _rows
        : [.. _rows.Select(row => place.E.Add(row, place.E.MultiplyWide(place.FirstKey, elementBytes)))];
}
