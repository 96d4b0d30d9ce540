using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>The table of bad inputs of the variants of attention.</summary>
internal static class BadVariantTable
{
    // A good call: batch 2, 4 heads over 2, 5 queries, 7 keys, head size 8, value head size 6.
    private static readonly nint[] _query = [2, 4, 5, 8];
    private static readonly nint[] _key = [2, 2, 7, 8];
    private static readonly nint[] _value = [2, 2, 7, 6];
    private static readonly nint[] _output = [2, 4, 5, 6];

    private delegate AttentionInputs<float> InputChange(AttentionInputs<float> inputs);

    private delegate AttentionOutputs<float> OutputChange(AttentionOutputs<float> outputs, Outputs made);

    public static IEnumerable<BadInput> All =>
    [
        Option("softcap 0", "Softcap", new() { Softcap = 0f }),
        Option("softcap negative", "Softcap", new() { Softcap = -1f }),
        Option("softcap infinite", "Softcap", new() { Softcap = float.PositiveInfinity }),
        Option("window with a negative left side", "Window.Left", new() { Window = new() { Left = -1 } }),
        Option("window with a negative right side", "Window.Right", new() { Window = new() { Right = -5 } }),
        Option("window without a named alignment", "Window.Alignment", new() { Window = new() { Alignment = (QueryAlignment)3 } }),
        Option("layout without a name", "Layout", new() { Layout = (AttentionLayout)9 }),
        Option("no heads in the options", "Heads", new() { Heads = 0 }),
        Option("negative key/value heads in the options", "KeyValueHeads", new() { KeyValueHeads = -2 }),
        Option("negative norm epsilon", "NormEpsilon", new() { NormEpsilon = -1e-6f }),
        Option("norm epsilon NaN", "NormEpsilon", new() { NormEpsilon = float.NaN }),

        Inputs("past key alone", ["pastValue", "missing"], inputs => inputs with { PastKey = Floats(2, 2, 3, 8) }),
        Inputs("past value alone", ["pastKey", "missing"], inputs => inputs with { PastValue = Floats(2, 2, 3, 6) }),
        Inputs("past of rank 3", ["pastKey", "[2, 3, 8]"], inputs => inputs with { PastKey = Floats(2, 3, 8), PastValue = Floats(2, 2, 3, 6) }),
        Inputs("past of other heads", ["pastKey", "[2, 2, 3, 8]"], inputs => inputs with { PastKey = Floats(2, 4, 3, 8), PastValue = Floats(2, 2, 3, 6) }),
        Inputs("past value of another length", ["pastValue", "[2, 2, 3, 6]"], inputs => inputs with { PastKey = Floats(2, 2, 3, 8), PastValue = Floats(2, 2, 4, 6) }),
        Inputs("past with key lengths", ["pastKey", "key lengths"], inputs => inputs with
        {
            PastKey = Floats(2, 2, 3, 8),
            PastValue = Floats(2, 2, 3, 6),
            KeyLengths = Ints(1, 2),
        }),
        Inputs("key lengths of another batch", ["keyLengths", "2", "3"], inputs => inputs with { KeyLengths = Ints(1, 2, 3) }),
        OutOfRange("a key length over the keys", ["keyLengths", "8", "0 to 7"], inputs => inputs with { KeyLengths = Ints(7, 8) }),
        OutOfRange("a negative key length", ["keyLengths", "-1"], inputs => inputs with { KeyLengths = Ints(-1, 2) }),
        Inputs("a prefix and nothing causal", ["prefixLengths", "causal"], inputs => inputs with { PrefixLengths = Ints(1, 2) }),
        OutOfRange("a negative prefix", ["prefixLengths", "-3"], inputs => inputs with { PrefixLengths = Ints(1, -3) }, new() { Causal = Causal.TopLeft }),
        Inputs("documents of another shape", ["queryDocuments", "[2, 5]"], inputs => inputs with { QueryDocuments = Numbers(2, 6) }),
        Inputs("documents of queries alone", ["keyDocuments"], inputs => inputs with { QueryDocuments = Numbers(2, 5) }),
        Inputs("documents of keys alone", ["keyDocuments", "queryDocuments"], inputs => inputs with { KeyDocuments = Numbers(2, 7) }),
        Inputs("documents of too few keys", ["keyDocuments", "[2, 7]"], inputs => inputs with { QueryDocuments = Numbers(2, 5), KeyDocuments = Numbers(2, 5) }),
        Inputs("slopes of key/value heads", ["alibiSlopes", "[4]"], inputs => inputs with { AlibiSlopes = Floats(2) }),
        Inputs(
            "a table of distances of key/value heads", ["distanceBias", "[4, 5]"],
            inputs => inputs with { DistanceBias = Floats(2, 5) }),
        Inputs("a table without the query's own place", ["distanceBias", "[4, 7]"], inputs => inputs with { DistanceBias = Floats(4, 6) }),
        Inputs("an empty table of distances", ["distanceBias", "[4, 1]"], inputs => inputs with { DistanceBias = Floats(4, 0) }),
        Inputs("a table of distances of rank 1", ["distanceBias", "[4, 1]"], inputs => inputs with { DistanceBias = Floats(4) }),
        Inputs("sinks of another shape", ["sinks", "[4]"], inputs => inputs with { Sinks = Floats(4, 1) }),
        Inputs("query norm of another size", ["queryNorm", "[8]"], inputs => inputs with { QueryNorm = Floats(4) }),
        Inputs("key norm of another size", ["keyNorm", "[8]"], inputs => inputs with { KeyNorm = Floats(9) }),
        Inputs("rotary sines without cosines", ["rotaryCosine"], inputs => inputs with { RotarySine = Floats(9, 4) }),
        Inputs("rotary cosines without sines", ["rotarySine"], inputs => inputs with { RotaryCosine = Floats(9, 4) }),
        Inputs("rotary tables wider than the head", ["rotaryCosine", "1 to 4"], inputs => inputs with { RotaryCosine = Floats(9, 5), RotarySine = Floats(9, 5) }),
        Inputs("rotary tables of two shapes", ["rotarySine"], inputs => inputs with { RotaryCosine = Floats(9, 4), RotarySine = Floats(9, 3) }),
        OutOfRange("rotary tables shorter than the keys", ["keyPositions", "0 to 5"], inputs => inputs with { RotaryCosine = Floats(6, 4), RotarySine = Floats(6, 4) }),
        Inputs("positions without rotary tables", ["queryPositions"], inputs => inputs with { QueryPositions = Numbers(2, 5) }),
        Inputs("positions of another shape", ["keyPositions", "[2, 7]"], inputs => inputs with
        {
            RotaryCosine = Floats(9, 4),
            RotarySine = Floats(9, 4),
            KeyPositions = Numbers(2, 6),
        }),
        Inputs("mask and bias, one of which does not broadcast", ["mask", "[4, 7]"], inputs => inputs with
        {
            Mask = new AttentionMask(Data.RandomBoolean(new Random(1), 0.5, 5, 7), Floats(4, 7)),
        }),
        Inputs("mask with more keys", ["mask", "[2, 4, 5, 7]", "[5, 8]"], inputs => inputs with
        {
            Mask = Data.RandomBoolean(new Random(1), 0.5, 5, 8),
        }),
        Inputs("mask with fewer keys and more queries", ["mask", "[6, 3]"], inputs => inputs with { Mask = Floats(6, 3) }),
        Inputs("slopes of another batch", ["alibiSlopes", "[2, 4]"], inputs => inputs with { AlibiSlopes = Floats(3, 4) }),
        Inputs("slopes of rank 3", ["alibiSlopes", "[4]"], inputs => inputs with { AlibiSlopes = Floats(1, 2, 4) }),
        Inputs("rotary tables of rank 4", ["rotaryCosine", "[batch, length, rotary size / 2]"], inputs => inputs with
        {
            RotaryCosine = Floats(1, 2, 9, 4),
            RotarySine = Floats(1, 2, 9, 4),
        }),
        Inputs("rotary tables of another batch", ["rotaryCosine", "batch, 2", "[3, 7, 4]"], inputs => inputs with
        {
            RotaryCosine = Floats(3, 7, 4),
            RotarySine = Floats(3, 7, 4),
        }),
        Inputs("rotary tables of tokens with rows of the past", ["rotaryCosine", "7", "[2, 10, 4]"], inputs => inputs with
        {
            RotaryCosine = Floats(2, 10, 4),
            RotarySine = Floats(2, 10, 4),
            PastKey = Floats(2, 2, 3, 8),
            PastValue = Floats(2, 2, 3, 6),
        }),
        Inputs("rotary tables of tokens with positions of queries alone", ["keyPositions", "together"], inputs => inputs with
        {
            RotaryCosine = Floats(2, 7, 4),
            RotarySine = Floats(2, 7, 4),
            QueryPositions = Numbers(2, 5),
        }),
        OutOfRange("a position behind its batch entry's table", ["keyPositions", "0 to 5"], inputs => inputs with
        {
            RotaryCosine = Floats(2, 6, 4),
            RotarySine = Floats(2, 6, 4),
            QueryPositions = Numbers(2, 5),
            KeyPositions = new ReadOnlyTensorSpan<int>(Ints(0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 5), [2, 7]),
        }),
        Inputs("joined heads that do not divide", ["query", "3 heads"], inputs => inputs with { Query = Floats(2, 5, 32) }, new()
        {
            Layout = AttentionLayout.BatchLengthHeads,
            Heads = 3,
        }),
        Inputs("joined heads without a number", ["query", "[batch, length, heads, head size]"], inputs => inputs with { Query = Floats(2, 5, 32) }, new()
        {
            Layout = AttentionLayout.BatchLengthHeads,
        }),

        Ragged("ragged tensors of rank 4", ["query", "tokens"], inputs => inputs with { Query = Floats(2, 4, 5, 8) }),
        Ragged("starts that do not begin with 0", ["cumulativeQueryLengths", "0"], inputs => inputs with { CumulativeQueryLengths = Ints(1, 9) }),
        Ragged("starts that end behind the tokens", ["cumulativeQueryLengths", "9", "10"], inputs => inputs with
        {
            CumulativeQueryLengths = Ints(0, 4, 10),
        }),
        Ragged("starts that fall", ["cumulativeQueryLengths", "fall"], inputs => inputs with { CumulativeQueryLengths = Ints(0, 5, 4, 9) }),
        Ragged("starts of more keys", ["cumulativeKeyLengths", "11"], inputs => inputs with { CumulativeKeyLengths = Ints(0, 4, 12) }),
        Ragged("starts of fewer sequences", ["cumulativeKeyLengths", "3"], inputs => inputs with { CumulativeKeyLengths = Ints(0, 11) }),
        Ragged("ragged sequences with a mask", ["mask", "ragged"], inputs => inputs with { Mask = new AttentionMask(Floats(9, 11)) }),
        Ragged("ragged sequences with documents", ["queryDocuments", "ragged"], inputs => inputs with { QueryDocuments = Numbers(1, 9) }),
        Ragged("ragged sequences with a past", ["pastKey", "ragged"], inputs => inputs with { PastKey = Floats(1, 2, 3, 8), PastValue = Floats(1, 2, 3, 6) }),
        Ragged("key lengths of fewer sequences", ["keyLengths", "2 sequences", "1"], inputs => inputs with { KeyLengths = Ints(1) }),
        Ragged("slopes of more sequences", ["alibiSlopes", "[2, 4]"], inputs => inputs with { AlibiSlopes = Floats(3, 4) }),
        Ragged("rotary tables of sequences", ["rotaryCosine", "ragged", "[2, 11, 4]"], inputs => inputs with
        {
            RotaryCosine = Floats(2, 11, 4),
            RotarySine = Floats(2, 11, 4),
        }),
        Ragged("rotary tables of fewer tokens", ["rotaryCosine", "11", "[1, 9, 4]"], inputs => inputs with
        {
            RotaryCosine = Floats(1, 9, 4),
            RotarySine = Floats(1, 9, 4),
        }),
        Inputs("starts of keys alone", ["cumulativeKeyLengths"], inputs => inputs with { CumulativeKeyLengths = Ints(0, 7) }),

        Output("scores of another length", ["scores", "[2, 4, 5, 7]"], (outputs, made) => outputs with { Scores = made.Make(2, 4, 5, 6) }),
        Output("average weights per head", ["scores", "[2, 5, 7]"], (outputs, made) => outputs with
        {
            Scores = made.Make(2, 4, 5, 7),
            ScoreStage = ScoreStage.AverageWeights,
        }),
        Output("scores of no stage", ["ScoreStage"], (outputs, made) => outputs with { Scores = made.Make(2, 4, 5, 7), ScoreStage = (ScoreStage)9 }),
        Output("log-sum-exp of rank 4", ["logSumExp", "[2, 4, 5]"], (outputs, made) => outputs with { LogSumExp = made.Make(2, 4, 5, 1) }),
        Output("present key of another length", ["presentKey", "[2, 2, 7, 8]"], (outputs, made) => outputs with { PresentKey = made.Make(2, 2, 8, 8) }),
        Output("present value of query heads", ["presentValue", "[2, 2, 7, 6]"], (outputs, made) => outputs with { PresentValue = made.Make(2, 4, 7, 6) }),
        Output("log-sum-exp that is the output", ["logSumExp", "overlap", "output"], (outputs, made) =>
        {
            TensorSpan<float> memory = made.Make(2, 4, 5, 6);
            Span<float> flat = memory.GetSpan([0, 0, 0, 0], 240);
            return outputs with { Output = memory, LogSumExp = new TensorSpan<float>(flat[..40], [2, 4, 5]) };
        }),
        new("past that is the present", typeof(ArgumentException), ["presentKey", "overlap", "pastKey"], (engine, made) =>
        {
            TensorSpan<float> cache = made.Make(2, 2, 7, 8);
            Span<float> flat = cache.GetSpan([0, 0, 0, 0], 224);
            engine.ScaledDotProductAttention<float>(
                Good() with
                {
                    Key = Floats(2, 2, 4, 8),
                    Value = Floats(2, 2, 4, 6),
                    PastKey = new ReadOnlyTensorSpan<float>(flat[..96], [2, 2, 3, 8]),
                    PastValue = Floats(2, 2, 3, 6),
                },
                new AttentionOutputs<float> { Output = made.Make(_output), PresentKey = cache });
        }),
        new("elements of doubles", typeof(NotSupportedException), ["System.Double"], (engine, _) =>
        {
            Tensor<double> tensor = Tensor.CreateFromShape<double>([1, 1, 2, 2]);
            engine.ScaledDotProductAttention(
                new AttentionInputs<double> { Query = tensor, Key = tensor, Value = tensor },
                new AttentionOutputs<double> { Output = Tensor.CreateFromShape<double>([1, 1, 2, 2]) });
        }),
    ];

    private static AttentionInputs<float> Good() => new() { Query = Floats(_query), Key = Floats(_key), Value = Floats(_value) };

    private static Tensor<float> Floats(params ReadOnlySpan<nint> lengths) => Data.Random(new Random(1), lengths);

    private static ReadOnlyTensorSpan<int> Numbers(params ReadOnlySpan<nint> lengths) => Tensor.CreateFromShape<int>(lengths).AsReadOnlyTensorSpan();

    private static int[] Ints(params int[] values) => values;

    private static BadInput Option(string name, string option, AttentionOptions options) =>
        Make(name, typeof(ArgumentOutOfRangeException), [option], inputs => inputs, options);

    private static BadInput Inputs(string name, string[] mentions, InputChange change, AttentionOptions? options = null) =>
        Make(name, typeof(ArgumentException), mentions, change, options);

    private static BadInput OutOfRange(string name, string[] mentions, InputChange change, AttentionOptions? options = null) =>
        Make(name, typeof(ArgumentOutOfRangeException), mentions, change, options);

    private static BadInput Make(string name, Type type, string[] mentions, InputChange change, AttentionOptions? options) =>
        new(name, type, mentions, (engine, outputs) =>
            engine.ScaledDotProductAttention<float>(change(Good()), new AttentionOutputs<float> { Output = outputs.Make(_output) }, options));

    private static BadInput Ragged(string name, string[] mentions, InputChange change) =>
        new(name, typeof(ArgumentException), mentions, (engine, outputs) => engine.ScaledDotProductAttention<float>(
            change(new AttentionInputs<float>
            {
                Query = Floats(9, 4, 8),
                Key = Floats(11, 2, 8),
                Value = Floats(11, 2, 6),
                CumulativeQueryLengths = Ints(0, 4, 9),
                CumulativeKeyLengths = Ints(0, 5, 11),
            }),
            new AttentionOutputs<float> { Output = outputs.Make(9, 4, 6) }));

    private static BadInput Output(string name, string[] mentions, OutputChange change) =>
        new(name, typeof(ArgumentException), mentions, (engine, outputs) => engine.ScaledDotProductAttention<float>(
            Good(), change(new AttentionOutputs<float> { Output = outputs.Make(_output) }, outputs)));
}
