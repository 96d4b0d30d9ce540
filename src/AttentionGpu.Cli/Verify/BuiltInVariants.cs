using System.Diagnostics;
using System.Numerics.Tensors;

namespace AttentionGpu.Cli.Verify;

/// <summary>Cases of the variants of attention, a few at a time, against the float64 reference.</summary>
internal static class BuiltInVariants
{
    private const int Seed = 2022;
    private const int Batch = 2;
    private const int Heads = 4;
    private const int KeyValueHeads = 2;
    private const int Queries = 19;
    private const int Keys = 27;
    private const int Past = 9;
    private const int ManyKeys = 4099;
    private const int HeadSize = 16;
    private const int ValueSize = 12;

    // Three ragged sequences: 2 * 19 queries, 2 * 27 keys.
    private static readonly int[] _queryStarts = [0, 10, 11, Batch * Queries];
    private static readonly int[] _keyStarts = [0, 20, 24, Batch * Keys];
    private static readonly int[] _keyLengths = [Keys, 5];
    private static readonly int[] _prefixLengths = [7, 0];
    private static readonly int[] _queryDocuments = [.. Enumerable.Range(0, Batch * Queries).Select(i => i / 11)];
    private static readonly int[] _keyDocuments = [.. Enumerable.Range(0, Batch * Keys).Select(i => i / 15)];

    // Each of them uses a part of its keys, the second none; or the last ends before the queries and keys do.
    private static readonly int[] _usedKeys = [17, 0, 11];
    private static readonly int[] _shortQueryStarts = [0, 10, 11, Batch * Queries - 7];
    private static readonly int[] _shortKeyStarts = [0, 20, 24, Batch * Keys - 9];
    private static readonly bool[] _shortMask = [.. Enumerable.Range(0, Queries * (Keys - 6)).Select(i => i % 3 != 0)];

    private delegate AttentionInputs<T> Change<T>(AttentionInputs<T> inputs, Func<nint[], Tensor<T>> draw)
        where T : unmanaged;

    /// <summary>All cases.</summary>
    public static IReadOnlyList<VerifyCase> All { get; } =
    [
        Case("softcap", options: new() { Softcap = 2f }),
        Case("sliding window", options: new() { Causal = Causal.TopLeft, Window = new() { Left = 5 } }),
        Case("window to both sides", options: new() { Window = new() { Left = 3, Right = 4, Alignment = QueryAlignment.BottomRight } }),
        Case("prefix", (inputs, _) => inputs with { PrefixLengths = _prefixLengths }, new() { Causal = Causal.TopLeft }),
        Case("key lengths, causal", (inputs, _) => inputs with { KeyLengths = _keyLengths }, new() { Causal = Causal.BottomRight }),
        Case("documents", (inputs, _) => inputs with
        {
            QueryDocuments = new ReadOnlyTensorSpan<int>(_queryDocuments, [Batch, Queries]),
            KeyDocuments = new ReadOnlyTensorSpan<int>(_keyDocuments, [Batch, Keys]),
        }),
        Case("ragged sequences, causal", MakeRagged, new() { Causal = Causal.BottomRight }, form: Form.Ragged),
        Case("ragged sequences with key lengths", MakeRaggedWithKeyLengths, new() { Causal = Causal.BottomRight }, form: Form.Ragged),
        Case("ragged sequences that end before the tokens", MakeRaggedWithRest, form: Form.Ragged),
        Case("ALiBi", (inputs, draw) => inputs with { AlibiSlopes = draw([Heads]) }),
        Case("ALiBi of each batch entry", (inputs, draw) => inputs with { AlibiSlopes = draw([Batch, Heads]) }),
        Case("bias by distance", (inputs, draw) => inputs with { DistanceBias = draw([Heads, 7]) }),
        Case("boolean mask with fewer keys", (inputs, _) => inputs with
        {
            Mask = new AttentionMask(new ReadOnlyTensorSpan<bool>(_shortMask, [Queries, Keys - 6])),
        }),
        Case("additive mask with fewer keys", (inputs, draw) => inputs with { Mask = draw([Batch, 1, 1, 5]) }, stage: ScoreStage.Weights),
        Case("sinks", (inputs, draw) => inputs with { Sinks = draw([Heads]) }),
        Case("past and present", AddPast, new() { Causal = Causal.TopLeft }, past: Past),
        Case("norm and rotary embedding", (inputs, draw) => inputs with
        {
            QueryNorm = draw([HeadSize]),
            KeyNorm = draw([HeadSize]),
            RotaryCosine = draw([Keys, HeadSize / 2]),
            RotarySine = draw([Keys, HeadSize / 2]),
        }),
        Case("rotary tables of each batch entry", (inputs, draw) => inputs with
        {
            RotaryCosine = draw([Batch, Keys, HeadSize / 2]),
            RotarySine = draw([Batch, Keys, HeadSize / 2]),
        }),
        Case("key padding, added", (inputs, draw) => inputs with { KeyPaddingBias = draw([Batch, Keys]), Mask = draw([Queries, Keys]) }),
        Case("extra key and zero attention", AddExtraKey, new() { Causal = Causal.TopLeft, AddZeroAttention = true }),
        Case("garbage in hidden keys", HideGarbage),
        Case("equal weights of many keys", WeighManyKeysEqually),
        Case("softcap far above the scores", options: new() { Softcap = 1e6f }),
        Case("values whose sum overflows", (inputs, draw) => inputs with
        {
            Value = Map(draw([Batch, KeyValueHeads, Keys, ValueSize]), value => 3e38f * MathF.Abs(value)),
        }),
        Case("queries that their scale overflows", MakeLargeQueries, new() { Scale = 4f }),
        Case("norm of rows whose squares overflow", (inputs, draw) => inputs with
        {
            Query = Map(draw([Batch, Heads, Queries, HeadSize]), value => 1e20f * value),
            QueryNorm = draw([HeadSize]),
        }),
        Case("no batch", LeaveOutBatch, new() { Causal = Causal.BottomRight }, form: Form.NoBatch),
        Case("masked scores", stage: ScoreStage.Masked, options: new() { Softcap = 3f }),
        Case16("float16", value => (Half)value, value => (float)value, VerifyOutcome.Float16Tolerance),
        Case16("bfloat16", value => (BFloat16)value, value => value, VerifyOutcome.BFloat16Tolerance),
    ];

    private static VerifyCase Case(
        string name, Change<float>? change = null, AttentionOptions? options = null, int past = 0, Form form = Form.Batch,
        ScoreStage? stage = null) =>
        new(name, engine => Run(name, engine, value => value, value => value, VerifyOutcome.Tolerance, change, options, past, form, stage));

    private static VerifyCase Case16<T>(string name, Converter<float, T> store, Converter<T, float> load, double tolerance)
        where T : unmanaged =>
        new(name, engine => Run(
            name, engine, store, load, tolerance, AddPast, new() { Causal = Causal.TopLeft, Softcap = 4f }, Past, Form.Batch,
            ScoreStage.Weights));

    private static AttentionInputs<T> AddPast<T>(AttentionInputs<T> inputs, Func<nint[], Tensor<T>> draw)
        where T : unmanaged =>
        inputs with { PastKey = draw([Batch, KeyValueHeads, Past, HeadSize]), PastValue = draw([Batch, KeyValueHeads, Past, ValueSize]) };

    private static AttentionInputs<float> AddExtraKey(AttentionInputs<float> inputs, Func<nint[], Tensor<float>> draw) =>
        inputs with { ExtraKey = draw([KeyValueHeads, HeadSize]), ExtraValue = draw([KeyValueHeads, ValueSize]) };

    private static AttentionInputs<float> HideGarbage(AttentionInputs<float> inputs, Func<nint[], Tensor<float>> draw)
    {
        bool[] visible = [.. Enumerable.Range(0, Keys).Select(key => key % 5 != 2)];
        Tensor<float> WithGarbage(int size, float garbage)
        {
            Tensor<float> rows = draw([Batch, KeyValueHeads, Keys, size]);
            for (int key = 0; key < Keys; key++)
            {
                if (!visible[key])
                    rows.AsTensorSpan()[.., .., key..(key + 1), ..].Fill(garbage);
            }

            return rows;
        }

        return inputs with
        {
            Key = WithGarbage(HeadSize, float.NaN),
            Value = WithGarbage(ValueSize, float.NegativeInfinity),
            Mask = new AttentionMask(new ReadOnlyTensorSpan<bool>(visible, [Keys])),
        };
    }

    private static AttentionInputs<float> WeighManyKeysEqually(AttentionInputs<float> inputs, Func<nint[], Tensor<float>> draw) =>
        inputs with
        {
            Query = Map(draw([Batch, Heads, Queries, HeadSize]), _ => 0f),
            Key = draw([Batch, KeyValueHeads, ManyKeys, HeadSize]),
            Value = Map(draw([Batch, KeyValueHeads, ManyKeys, ValueSize]), _ => 0.1f),
        };

    private static AttentionInputs<float> MakeLargeQueries(AttentionInputs<float> inputs, Func<nint[], Tensor<float>> draw) => inputs with
    {
        Query = Map(draw([Batch, Heads, Queries, HeadSize]), value => 3e38f * value),
        Key = Map(draw([Batch, KeyValueHeads, Keys, HeadSize]), value => 3e-38f * value),
    };

    private static Tensor<float> Map(Tensor<float> tensor, Converter<float, float> function) =>
        Tensor.Create(Array.ConvertAll(Flatten(tensor, value => value), function), tensor.Lengths);

    private static AttentionInputs<float> LeaveOutBatch(AttentionInputs<float> inputs, Func<nint[], Tensor<float>> draw) => inputs with
    {
        Query = draw([Heads, Queries, HeadSize]),
        Key = draw([KeyValueHeads, Keys, HeadSize]),
        Value = draw([KeyValueHeads, Keys, ValueSize]),
        KeyPaddingBias = draw([Keys]),
    };

    private static AttentionInputs<float> MakeRagged(AttentionInputs<float> inputs, Func<nint[], Tensor<float>> draw) => inputs with
    {
        Query = draw([Batch * Queries, Heads, HeadSize]),
        Key = draw([Batch * Keys, KeyValueHeads, HeadSize]),
        Value = draw([Batch * Keys, KeyValueHeads, ValueSize]),
        CumulativeQueryLengths = _queryStarts,
        CumulativeKeyLengths = _keyStarts,
    };

    private static AttentionInputs<float> MakeRaggedWithKeyLengths(AttentionInputs<float> inputs, Func<nint[], Tensor<float>> draw) =>
        MakeRagged(inputs, draw) with { KeyLengths = _usedKeys };

    private static AttentionInputs<float> MakeRaggedWithRest(AttentionInputs<float> inputs, Func<nint[], Tensor<float>> draw) =>
        MakeRagged(inputs, draw) with { CumulativeQueryLengths = _shortQueryStarts, CumulativeKeyLengths = _shortKeyStarts };

    private static VerifyOutcome Run<T>(
        string name, AttentionEngine engine, Converter<float, T> store, Converter<T, float> load, double tolerance, Change<T>? change,
        AttentionOptions? options, int past, Form form, ScoreStage? stage)
        where T : unmanaged
    {
        using var reference = new AttentionEngine("reference");
        (float[][] expected, _) = Run(reference, store, load, change, options, past, form, stage);
        (float[][] actual, double milliseconds) = Run(engine, store, load, change, options, past, form, stage);
        return VerifyOutcome.CompareEach(name, actual, expected, milliseconds, tolerance);
    }

    /// <summary>Runs the case into poisoned outputs, which are returned.</summary>
    private static (float[][] Outputs, double Milliseconds) Run<T>(
        AttentionEngine engine, Converter<float, T> store, Converter<T, float> load, Change<T>? change, AttentionOptions? options, int past,
        Form form, ScoreStage? stage)
        where T : unmanaged
    {
        var random = new Random(Seed);
        Tensor<T> Draw(params nint[] lengths) => Make(lengths, () => store((float)(2.0 * random.NextDouble() - 1.0)));
        Tensor<T> Poisoned(params nint[] lengths) => Make(lengths, () => store(float.NaN));
        var inputs = new AttentionInputs<T>
        {
            Query = Draw(Batch, Heads, Queries, HeadSize),
            Key = Draw(Batch, KeyValueHeads, Keys, HeadSize),
            Value = Draw(Batch, KeyValueHeads, Keys, ValueSize),
        };
        if (change is not null)
            inputs = change(inputs, Draw);
        nint[] rows = form switch
        {
            Form.Batch => [Batch, Heads, Queries],
            Form.Ragged => [Batch * Queries, Heads],
            _ => [Heads, Queries],
        };
        Tensor<T> output = Poisoned([.. rows, ValueSize]);
        Tensor<T>? presentKey = past > 0 ? Poisoned(Batch, KeyValueHeads, past + Keys, HeadSize) : null;
        Tensor<T>? presentValue = past > 0 ? Poisoned(Batch, KeyValueHeads, past + Keys, ValueSize) : null;
        Tensor<T>? scores = stage is null ? null : Poisoned(Batch, Heads, Queries, past + Keys);
        Tensor<float> logSumExp = Tensor.Create(
            Enumerable.Repeat(float.NaN, (int)rows.Aggregate((product, length) => product * length)).ToArray(),
            form == Form.Ragged ? [rows[1], rows[0]] : rows);
        long start = Stopwatch.GetTimestamp();
        engine.ScaledDotProductAttention(
            inputs,
            new AttentionOutputs<T>
            {
                Output = output,
                PresentKey = presentKey,
                PresentValue = presentValue,
                Scores = scores,
                ScoreStage = stage ?? default,
                LogSumExp = logSumExp,
            },
            options);
        double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        float[][] all =
        [
            Flatten(output, load), Flatten(presentKey, load), Flatten(presentValue, load), Flatten(scores, load),
            Flatten(logSumExp, value => value),
        ];
        return (all, milliseconds);
    }

    private static Tensor<T> Make<T>(nint[] lengths, Func<T> next)
    {
        var values = new T[lengths.Aggregate((nint)1, (product, length) => product * length)];
        for (int i = 0; i < values.Length; i++)
            values[i] = next();
        return Tensor.Create(values, lengths);
    }

    private static float[] Flatten<T>(Tensor<T>? tensor, Converter<T, float> load)
    {
        if (tensor is null)
            return [];
        var values = new T[tensor.FlattenedLength];
        tensor.FlattenTo(values);
        return Array.ConvertAll(values, load);
    }

    private enum Form
    {
        Batch,
        Ragged,
        NoBatch,
    }
}
