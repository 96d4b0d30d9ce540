using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>The rules of sequences without padding and of the outputs of attention: for each a good call and the nearest bad one.</summary>
public class RaggedBorderTests
{
    private delegate void Change(ref AttentionInputs<float> inputs, ref AttentionOutputs<float> outputs);

    private static readonly (string Name, string Parameter, Change Good, Change Bad)[] _ragged =
    [
        ("first start", "cumulativeQueryLengths", Starts([0, 9], [0, 11]), Starts([1, 9], [0, 11])),
        ("last start", "cumulativeQueryLengths", Starts([0, 9], [0, 11]), Starts([0, 10], [0, 11])),
        ("last start before the tokens", "cumulativeQueryLengths", Starts([0, 3, 8], [0, 6, 10]), Starts([1, 3, 8], [0, 6, 10])),
        ("start that falls", "cumulativeQueryLengths", Starts([0, 4, 4, 9], [0, 0, 11, 11]), Starts([0, 4, 3, 9], [0, 0, 11, 11])),
        ("second start that falls", "cumulativeQueryLengths", Starts([0, 0, 9], [0, 0, 11]), Starts([0, -1, 9], [0, 0, 11])),
        ("last start that falls", "cumulativeQueryLengths", Starts([0, 9, 9], [0, 0, 11]), Starts([0, 10, 9], [0, 0, 11])),
        ("starts of more keys", "cumulativeKeyLengths", Starts([0, 4, 9], [0, 5, 11]), Starts([0, 9], [0, 5, 11])),
        ("first start of keys", "cumulativeKeyLengths", Starts([0, 9], [0, 11]), Starts([0, 9], [1, 11])),
        ("last start of keys", "cumulativeKeyLengths", Starts([0, 9], [0, 11]), Starts([0, 9], [0, 12])),
        ("start of keys that falls", "cumulativeKeyLengths", Starts([0, 4, 4, 9], [0, 5, 5, 11]), Starts([0, 4, 4, 9], [0, 5, 4, 11])),
        ("number of starts", "cumulativeKeyLengths", Starts([0, 9], [0, 11]), Starts([0, 0, 9], [0, 11])),
        ("starts of keys left out", "cumulativeKeyLengths", Same, (ref i, ref _) => i.CumulativeKeyLengths = []),
        ("prefix", "prefixLengths", None, (ref i, ref _) => i.PrefixLengths = new[] { 1, 1 }),
        ("key lengths", "keyLengths", KeyLengths(5, 6), KeyLengths(5, 7)),
        ("key lengths below", "keyLengths", KeyLengths(0, 0), KeyLengths(0, -1)),
        ("number of key lengths", "keyLengths", KeyLengths(1, 1), KeyLengths(1, 1, 0)),
        ("boolean mask", "mask", None, (ref i, ref _) => i.Mask = Tensor.CreateFromShape<bool>([9, 11])),
        ("additive mask", "mask", None, (ref i, ref _) => i.Mask = Floats(9, 11)),
        (
            "documents", "queryDocuments", None,
            (ref i, ref _) => i.QueryDocuments = Tensor.CreateFromShape<int>([1, 9]).AsReadOnlyTensorSpan()),
        ("past", "pastKey", None, (ref i, ref _) => { i.PastKey = Floats(1, 2, 3, 8); i.PastValue = Floats(1, 2, 3, 8); }),
        ("present key", "presentKey", None, (ref _, ref o) => o.PresentKey = Floats(1, 2, 11, 8)),
        ("present value", "presentValue", None, (ref _, ref o) => o.PresentValue = Floats(1, 2, 11, 8)),
        ("scores", "scores", None, (ref _, ref o) => o.Scores = Floats(2, 4, 5, 6)),
        ("log-sum-exp", "logSumExp", (ref _, ref o) => o.LogSumExp = Floats(4, 9), (ref _, ref o) => o.LogSumExp = Floats(9, 4)),
        ("slopes", "alibiSlopes", (ref i, ref _) => i.AlibiSlopes = Floats(4), (ref i, ref _) => i.AlibiSlopes = Floats(2)),
        (
            "slopes of sequences", "alibiSlopes", (ref i, ref _) => i.AlibiSlopes = Floats(2, 4),
            (ref i, ref _) => i.AlibiSlopes = Floats(1, 4)),
        ("output", "output", None, (ref _, ref o) => o.Output = Floats(9, 4, 7)),
        ("output's tokens", "output", None, (ref _, ref o) => o.Output = Floats(8, 4, 8)),
        ("rank", "query", None, (ref i, ref _) => i.Query = Floats(1, 9, 4, 8)),
        ("rotary tables", "queryPositions", Rotary(6, [0, 6, 7, 9], [0, 4, 8, 11]), Rotary(5, [0, 6, 7, 9], [0, 4, 8, 11])),
        ("rotary tables of keys", "keyPositions", Rotary(6, [0, 4, 9], [0, 5, 11]), Rotary(5, [0, 4, 9], [0, 5, 11])),
    ];

    private static readonly (string Name, string Parameter, Change Good, Change Bad)[] _padded =
    [
        ("starts of keys alone", "cumulativeKeyLengths", None, (ref i, ref _) => i.CumulativeKeyLengths = new[] { 0, 7 }),
        (
            "score stage", "outputs", (ref _, ref o) => Scores(ref o, ScoreStage.AverageWeights, 2, 5, 7),
            (ref _, ref o) => Scores(ref o, (ScoreStage)5, 2, 4, 5, 7)),
        (
            "score stage below", "outputs", (ref _, ref o) => Scores(ref o, ScoreStage.Weights, 2, 4, 5, 7),
            (ref _, ref o) => Scores(ref o, (ScoreStage)(-1), 2, 4, 5, 7)),
        (
            "score stage without scores", "outputs", (ref _, ref o) => o.ScoreStage = ScoreStage.Weights,
            (ref _, ref o) => o.ScoreStage = ScoreStage.Products),
        (
            "scores", "scores", (ref _, ref o) => Scores(ref o, ScoreStage.Masked, 2, 4, 5, 7),
            (ref _, ref o) => Scores(ref o, ScoreStage.Masked, 2, 2, 5, 7)),
        (
            "average weights", "scores", (ref _, ref o) => Scores(ref o, ScoreStage.AverageWeights, 2, 5, 7),
            (ref _, ref o) => Scores(ref o, ScoreStage.AverageWeights, 2, 7, 5)),
        ("log-sum-exp", "logSumExp", (ref _, ref o) => o.LogSumExp = Floats(2, 4, 5), (ref _, ref o) => o.LogSumExp = Floats(2, 5, 4)),
        (
            "present key", "presentKey", (ref _, ref o) => o.PresentKey = Floats(2, 2, 7, 8),
            (ref _, ref o) => o.PresentKey = Floats(2, 2, 7, 6)),
        (
            "present value", "presentValue", (ref _, ref o) => o.PresentValue = Floats(2, 2, 7, 6),
            (ref _, ref o) => o.PresentValue = Floats(2, 2, 7, 8)),
        ("present key's heads", "presentKey", None, (ref _, ref o) => o.PresentKey = Floats(2, 4, 7, 8)),
        ("present value's length", "presentValue", None, (ref _, ref o) => o.PresentValue = Floats(2, 2, 8, 6)),
    ];

    public static TheoryData<string> Ragged => [.. _ragged.Select(border => border.Name)];

    public static TheoryData<string> Padded => [.. _padded.Select(border => border.Name)];

    [Theory]
    [MemberData(nameof(Ragged))]
    public void Ragged_sequences_have_their_rules(string name) =>
        AssertBorder(_ragged.Single(border => border.Name == name), isRagged: true);

    [Theory]
    [MemberData(nameof(Padded))]
    public void Outputs_have_their_shapes(string name) => AssertBorder(_padded.Single(border => border.Name == name), isRagged: false);

    private static void AssertBorder((string Name, string Parameter, Change Good, Change Bad) border, bool isRagged)
    {
        foreach (string device in new[] { "reference", "simd" })
        {
            Run(device, border.Good, isRagged);
            ArgumentException exception = Assert.ThrowsAny<ArgumentException>(() => Run(device, border.Bad, isRagged));
            Assert.Equal(border.Parameter, exception.ParamName);
        }
    }

    private static void Run(string device, Change change, bool isRagged)
    {
        var inputs = isRagged
            ? new AttentionInputs<float>
            {
                Query = Floats(9, 4, 8),
                Key = Floats(11, 2, 8),
                Value = Floats(11, 2, 8),
                CumulativeQueryLengths = new[] { 0, 4, 9 },
                CumulativeKeyLengths = new[] { 0, 5, 11 },
            }
            : new AttentionInputs<float> { Query = Floats(2, 4, 5, 8), Key = Floats(2, 2, 7, 8), Value = Floats(2, 2, 7, 6) };
        var outputs = new AttentionOutputs<float> { Output = isRagged ? Floats(9, 4, 8) : Floats(2, 4, 5, 6) };
        change(ref inputs, ref outputs);
        Engines.Get(device).ScaledDotProductAttention(inputs, outputs, new AttentionOptions { Causal = Causal.TopLeft });
    }

    private static void None(ref AttentionInputs<float> inputs, ref AttentionOutputs<float> outputs)
    {
    }

    private static Change Starts(int[] queries, int[] keys) => (ref inputs, ref _) =>
    {
        inputs.CumulativeQueryLengths = queries;
        inputs.CumulativeKeyLengths = keys;
    };

    private static Change KeyLengths(params int[] lengths) => (ref inputs, ref _) => inputs.KeyLengths = lengths;

    private static void Same(ref AttentionInputs<float> inputs, ref AttentionOutputs<float> outputs)
    {
        inputs.Key = Floats(9, 2, 8);
        inputs.Value = Floats(9, 2, 8);
        inputs.CumulativeKeyLengths = [];
    }

    private static Change Rotary(int positions, int[] queries, int[] keys) => (ref inputs, ref _) =>
    {
        inputs.RotaryCosine = Floats(positions, 4);
        inputs.RotarySine = Floats(positions, 4);
        inputs.CumulativeQueryLengths = queries;
        inputs.CumulativeKeyLengths = keys;
    };

    private static void Scores(ref AttentionOutputs<float> outputs, ScoreStage stage, params ReadOnlySpan<nint> lengths)
    {
        outputs.ScoreStage = stage;
        outputs.Scores = Floats(lengths);
    }

    private static Tensor<float> Floats(params ReadOnlySpan<nint> lengths) => Data.Random(new Random(1), lengths);
}
