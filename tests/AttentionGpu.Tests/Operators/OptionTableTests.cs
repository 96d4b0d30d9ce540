using System.Numerics.Tensors;
using System.Reflection;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>
/// Each combination in which a member of a call's options, inputs or outputs would have no effect, or says something else than the tensors:
/// it is refused by its name. Every public member is in the table, or among those that always have an effect.
/// </summary>
public class OptionTableTests
{
    // What is computed for each value whatever else there is.
    private static readonly string[] _alwaysEffective =
    [
        "Scale", "Causal", "Window", "Softcap", "AddZeroAttention", "BatchInvariant", "Query", "Key", "Value", "Cache", "Mask",
        "KeyPaddingMask", "KeyPaddingBias", "KeyLengths", "CumulativeQueryLengths", "QueryDocuments", "AlibiSlopes", "DistanceBias",
        "Sinks", "QueryNorm", "KeyNorm", "Output", "LogSumExp",
    ];

    private static readonly Row[] _rows =
    [
        new("Layout", "ragged", call => call.MakeRagged().Options = new() { Layout = AttentionLayout.BatchLengthHeads }),
        new("Heads", "axis of heads", call => call.Options = new() { Heads = 8 }),
        new("Heads", "axis of heads", call => call.Options = new() { Heads = 2, Layout = AttentionLayout.BatchLengthHeads }),
        new("Heads", "axis of heads", call => call.MakeRagged().Options = new() { Heads = 2 }),
        new("Heads", "BatchHeadsLength", call => call.LeaveOut(1).Options = new() { Heads = 2 }),
        new("Heads", "BatchHeadsLength", call => call.LeaveOut(2).Options = new() { Heads = 1 }),
        new("KeyValueHeads", "axis of heads", call => call.Options = new() { KeyValueHeads = 2 }),
        new("KeyValueHeads", "BatchHeadsLength", call => call.LeaveOut(1).Options = new() { KeyValueHeads = 2 }),
        new("KeyValueHeads", "axis of heads", call => call.MakeRagged().Options = new() { KeyValueHeads = 2 }),
        new("NormEpsilon", "normalised", call => call.Options = new() { NormEpsilon = 1e-5f }),
        new("RotaryInterleaved", "rotary tables", call => call.Options = new() { RotaryInterleaved = true }),
        new("Window", "neither", call => call.Options = new() { Window = new() }),
        new("Window", "neither", call => call.Options = new() { Window = new() { Alignment = QueryAlignment.BottomRight } }),
        new("Scale", "finite", call => call.Options = new() { Scale = float.NaN }),
        new("Softcap", "more than 0", call => call.Options = new() { Softcap = 0f }),
        new("Softcap", "more than 0", call => call.Options = new() { Softcap = float.PositiveInfinity }),
        new("Softcap", "more than 0", call => call.Options = new() { Softcap = float.NaN }),
        new("ScoreStage", "'scores'", call => call.Stage = ScoreStage.Masked),
        new("pastKey", "together", call => call.PastValue = Floats(2, 2, 1, 4)),
        new("pastValue", "together", call => call.PastKey = Floats(2, 2, 1, 4)),
        new("extraKey", "together", call => call.ExtraValue = Floats(2, 4)),
        new("extraValue", "together", call => call.ExtraKey = Floats(2, 4)),
        new("prefixLengths", "causal", call => call.PrefixLengths = [1, 1]),
        new("cacheLayer", "'cache'", call => call.CacheLayer = 1),
        new("cumulativeKeyLengths", "cumulativeQueryLengths", call => call.KeyStarts = [0, 2]),
        new("keyDocuments", "queryDocuments", call => call.KeyDocuments = Numbers(2, 2)),
        new("queryPositions", "rotary tables", call => call.QueryPositions = Numbers(2, 2)),
        new("keyPositions", "rotary tables", call => call.KeyPositions = Numbers(2, 2)),
        new("rotaryCosine", "rotary size", call => call.Sine = Floats(2, 2)),
        new("rotarySine", "rotaryCosine", call => call.Cosine = Floats(2, 2)),
        new("keyLengths", "2 sequences", call => call.MakeRagged().KeyLengths = [1]),
        new("keyPaddingMask", "ragged", call => call.MakeRagged().Padding = Tensor.Create(new bool[3], [1, 3])),
        new("keyPaddingBias", "ragged", call => call.MakeRagged().PaddingBias = Floats(1, 3)),
        new("mask", "ragged", call => call.MakeRagged().Bias = Floats(1)),
        new("queryDocuments", "ragged", call => call.MakeRagged().QueryDocuments = Numbers(1, 3)),
        new("scores", "ragged", call => call.MakeRagged().Scores = Floats(1, 2, 3, 3)),
        new("presentKey", "ragged", call => call.MakeRagged().PresentKey = Floats(1, 2, 3, 4)),
        new("presentValue", "ragged", call => call.MakeRagged().PresentValue = Floats(1, 2, 3, 4)),
        new("key", "as many axes as 'query'", call => call.Query = Floats(2, 2, 4)),
        new("value", "as many axes as 'query'", call => call.Value = Floats(2, 2, 4)),
        new("query", "with the option 'Heads'", call => call.LeaveOut(1).Options = new() { Layout = AttentionLayout.BatchLengthHeads }),
        new("query", "with the option 'Heads'", call => call.LeaveOut(1).Options =
            new() { Layout = AttentionLayout.LengthBatchHeads, KeyValueHeads = 2 }),
        new("query", "batch, length, heads", call => call.LeaveOut(2).Options =
            new() { Layout = AttentionLayout.BatchLengthHeads, Heads = 2 }),
        new("keyLengths", "1 batch entries", call => call.LeaveOut(1).KeyLengths = [1, 1]),
        new("keyPaddingMask", "[key length]", call => call.LeaveOut(1).Padding = Tensor.Create(new bool[4], [2, 2])),
        new("keyPaddingBias", "[batch, key length]", call => call.PaddingBias = Floats(2)),
    ];

    public static TheoryData<int, string, string> Rows => new(_rows.Select((row, i) => (i, row.Name, row.Rule)));

    [Theory]
    [MemberData(nameof(Rows))]
    public void A_member_without_effect_is_refused_and_nothing_is_written(int row, string name, string rule)
    {
        foreach (string backend in Engines.All)
        {
            var call = new Call();
            _rows[row].Change(call);
            ArgumentException exception = Assert.ThrowsAny<ArgumentException>(() => call.Run(Engines.Get(backend)));
            Assert.Contains($"'{name}'", exception.Message, StringComparison.Ordinal);
            Assert.Contains(rule, exception.Message, StringComparison.Ordinal);
            Assert.All(Data.Flat(call.Output), value => Assert.True(float.IsNaN(value)));
        }
    }

    [Fact]
    public void Every_member_is_in_the_table_or_has_an_effect_always()
    {
        IEnumerable<string> members = typeof(AttentionOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Select(member => member.Name)
            .Concat(typeof(AttentionInputs<float>).GetFields().Select(member => member.Name))
            .Concat(typeof(AttentionOutputs<float>).GetFields().Select(member => member.Name));
        string[] known = [.. _alwaysEffective, .. _rows.Select(row => row.Name)];
        Assert.All(members, member => Assert.Contains(member, known, StringComparer.OrdinalIgnoreCase));
    }

    [Fact]
    public void A_call_of_each_shape_works()
    {
        foreach (Func<Call, Call> shape in new Func<Call, Call>[]
        {
            call => call, call => call.MakeRagged(), call => call.LeaveOut(1), call => call.LeaveOut(2),
        })
        {
            Call call = shape(new Call());
            call.Run(Engines.Reference);
            Assert.All(Data.Flat(call.Output), value => Assert.False(float.IsNaN(value)));
        }
    }

    private static Tensor<float> Floats(params ReadOnlySpan<nint> lengths) => Data.Random(new Random(1), lengths);

    private static Tensor<int> Numbers(params ReadOnlySpan<nint> lengths) => Tensor.CreateFromShape<int>(lengths);

    private sealed record Row(string Name, string Rule, Action<Call> Change);

    /// <summary>A call of 2 batch entries, 2 heads, 2 queries and keys of 4 elements.</summary>
    private sealed class Call
    {
        public Tensor<float> Query { get; set; } = Floats(2, 2, 2, 4);

        public Tensor<float> Key { get; set; } = Floats(2, 2, 2, 4);

        public Tensor<float> Value { get; set; } = Floats(2, 2, 2, 4);

        public Tensor<float> Output { get; private set; } = Data.Poisoned(2, 2, 2, 4);

        public AttentionOptions Options { get; set; } = new();

        public Tensor<float>? PastKey { get; set; }

        public Tensor<float>? PastValue { get; set; }

        public Tensor<float>? ExtraKey { get; set; }

        public Tensor<float>? ExtraValue { get; set; }

        public Tensor<bool>? Padding { get; set; }

        public Tensor<float>? PaddingBias { get; set; }

        public Tensor<float>? Bias { get; set; }

        public Tensor<float>? Cosine { get; set; }

        public Tensor<float>? Sine { get; set; }

        public Tensor<int>? QueryDocuments { get; set; }

        public Tensor<int>? KeyDocuments { get; set; }

        public Tensor<int>? QueryPositions { get; set; }

        public Tensor<int>? KeyPositions { get; set; }

        public int CacheLayer { get; set; }

        public int[] KeyLengths { get; set; } = [];

        public int[] PrefixLengths { get; set; } = [];

        public int[] Starts { get; private set; } = [];

        public int[] KeyStarts { get; set; } = [];

        public Tensor<float>? Scores { get; set; }

        public ScoreStage Stage { get; set; }

        public Tensor<float>? PresentKey { get; set; }

        public Tensor<float>? PresentValue { get; set; }

        public Call MakeRagged()
        {
            Starts = [0, 1, 3];
            return Shape(3, 2, 4);
        }

        public Call LeaveOut(int axes) => axes == 1 ? Shape(2, 2, 4) : Shape(2, 4);

        public void Run(AttentionEngine engine) => engine.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = Query,
                Key = Key,
                Value = Value,
                CacheLayer = CacheLayer,
                PastKey = PastKey,
                PastValue = PastValue,
                ExtraKey = ExtraKey,
                ExtraValue = ExtraValue,
                KeyPaddingMask = Padding,
                KeyPaddingBias = PaddingBias,
                Mask = Bias,
                RotaryCosine = Cosine,
                RotarySine = Sine,
                QueryDocuments = Span(QueryDocuments),
                KeyDocuments = Span(KeyDocuments),
                QueryPositions = Span(QueryPositions),
                KeyPositions = Span(KeyPositions),
                KeyLengths = KeyLengths,
                PrefixLengths = PrefixLengths,
                CumulativeQueryLengths = Starts,
                CumulativeKeyLengths = KeyStarts,
            },
            new AttentionOutputs<float>
            {
                Output = Output,
                Scores = Scores,
                ScoreStage = Stage,
                PresentKey = PresentKey,
                PresentValue = PresentValue,
            },
            Options);

        private Call Shape(params ReadOnlySpan<nint> lengths)
        {
            (Query, Key, Value, Output) = (Floats(lengths), Floats(lengths), Floats(lengths), Data.Poisoned(lengths));
            return this;
        }

        private static ReadOnlyTensorSpan<int> Span(Tensor<int>? numbers) => numbers is null ? default : numbers.AsReadOnlyTensorSpan();
    }
}
