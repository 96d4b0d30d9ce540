using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>The last value that each rule lets pass, and the first one that it does not.</summary>
public class BorderTests
{
    private delegate void Change(ref AttentionInputs<float> inputs, ref AttentionOptions options);

    /// <summary>A name, the parameter that the error names, the last good change and the first bad one.</summary>
    private static readonly (string Name, string Parameter, Change Good, Change Bad)[] _borders =
    [
        ("scale", "options", With(new() { Scale = float.MaxValue }), With(new() { Scale = float.NegativeInfinity })),
        ("softcap", "options", With(new() { Softcap = float.Epsilon }), With(new() { Softcap = 0f })),
        ("largest softcap", "options", With(new() { Softcap = float.MaxValue }), With(new() { Softcap = float.NaN })),
        ("norm epsilon", "options", Normalised(0f), Normalised(-float.Epsilon)),
        ("norm epsilon without norms", "options", With(new() { NormEpsilon = AttentionOptions.DefaultNormEpsilon }), With(new() { NormEpsilon = 1e-5f })),
        ("largest norm epsilon", "options", Normalised(float.MaxValue), Normalised(float.PositiveInfinity)),
        ("left side", "options", With(new() { Window = new() { Left = 0 } }), With(new() { Window = new() { Left = -1 } })),
        ("right side", "options", With(new() { Window = new() { Right = 0 } }), With(new() { Window = new() { Right = -1 } })),
        (
            "window's alignment", "options", With(new() { Window = new() { Left = 1, Alignment = QueryAlignment.BottomRight } }),
            With(new() { Window = new() { Left = 1, Alignment = (QueryAlignment)2 } })),
        ("causal", "options", With(new() { Causal = Causal.BottomRight }), With(new() { Causal = (Causal)3 })),
        ("causal below", "options", With(new() { Causal = Causal.None }), With(new() { Causal = (Causal)(-1) })),
        ("layout", "options", Joined(4, 2, AttentionLayout.LengthBatchHeads), With(new() { Layout = (AttentionLayout)3 })),
        ("heads", "options", Joined(1, 1), Joined(0, 1)),
        ("key/value heads", "options", Joined(4, 1), Joined(4, 0)),
        ("heads that divide", "query", Joined(4, 2), Joined(3, 3)),
        ("key/value heads that divide", "key", Joined(4, 4), Joined(4, 3)),
        ("query's heads", "query", Same, (ref i, ref _) => i.Query = Floats(2, 0, 5, 8)),
        ("query's head size", "query", Same, (ref i, ref _) => { i.Query = Floats(2, 4, 5, 0); i.Key = Floats(2, 2, 7, 0); }),
        ("value's size", "value", Same, (ref i, ref _) => i.Value = Floats(2, 2, 7, 0)),
        ("past's rank", "pastKey", (ref i, ref _) => Past(ref i, 3), (ref i, ref _) => { Past(ref i, 3); i.PastKey = Floats(6, 8); }),
        (
            "keys that an int counts", "pastKey", Same,
            (ref i, ref _) => { Past(ref i, 3); i.PastKey = Repeated(int.MaxValue - 6, 8); i.PastValue = Repeated(int.MaxValue - 6, 6); }),
        ("past that is given whole", "pastValue", (ref i, ref _) => Past(ref i, 3), (ref i, ref _) => i.PastKey = Floats(2, 2, 3, 8)),
        ("past's head size", "pastKey", (ref i, ref _) => Past(ref i, 0), (ref i, ref _) => Past(ref i, 3, keySize: 9)),
        ("past value's head size", "pastValue", (ref i, ref _) => Past(ref i, 1), (ref i, ref _) => Past(ref i, 3, valueSize: 7)),
        ("past's batch", "pastKey", (ref i, ref _) => Past(ref i, 2), (ref i, ref _) => Past(ref i, 3, batch: 1)),
        (
            "longest key length", "keyLengths", (ref i, ref _) => i.KeyLengths = new[] { 7, 7 },
            (ref i, ref _) => i.KeyLengths = new[] { 7, 8 }),
        (
            "shortest key length", "keyLengths", (ref i, ref _) => i.KeyLengths = new[] { 0, 0 },
            (ref i, ref _) => i.KeyLengths = new[] { 0, -1 }),
        (
            "number of key lengths", "keyLengths", (ref i, ref _) => i.KeyLengths = new[] { 1, 2 },
            (ref i, ref _) => i.KeyLengths = new[] { 1 }),
        ("shortest prefix", "prefixLengths", Prefix(0, 0), Prefix(0, -1)),
        ("number of prefixes", "prefixLengths", Prefix(int.MaxValue, 1), Prefix(1)),
        ("documents", "queryDocuments", (ref i, ref _) => Documents(ref i, 5, 7), (ref i, ref _) => Documents(ref i, 4, 7)),
        ("documents of keys", "keyDocuments", (ref i, ref _) => Documents(ref i, 5, 7), (ref i, ref _) => Documents(ref i, 5, 8)),
        (
            "documents without those of keys", "keyDocuments", (ref i, ref _) => { Keys(ref i, 5); Documents(ref i, 5, null); },
            (ref i, ref _) => Documents(ref i, 5, null)),
        ("slopes", "alibiSlopes", (ref i, ref _) => i.AlibiSlopes = Floats(4), (ref i, ref _) => i.AlibiSlopes = Floats(5)),
        (
            "bias by distance", "distanceBias", (ref i, ref _) => i.DistanceBias = Floats(4, 1),
            (ref i, ref _) => i.DistanceBias = Floats(4, 2)),
        ("sinks", "sinks", (ref i, ref _) => i.Sinks = Floats(4), (ref i, ref _) => i.Sinks = Floats(3)),
        ("query norm", "queryNorm", (ref i, ref _) => i.QueryNorm = Floats(8), (ref i, ref _) => i.QueryNorm = Floats(1, 8)),
        ("key norm", "keyNorm", (ref i, ref _) => i.KeyNorm = Floats(8), (ref i, ref _) => i.KeyNorm = Floats(7)),
        ("widest rotary tables", "rotaryCosine", (ref i, ref _) => Rotary(ref i, 7, 4), (ref i, ref _) => Rotary(ref i, 7, 5)),
        ("narrowest rotary tables", "rotaryCosine", (ref i, ref _) => Rotary(ref i, 7, 1), (ref i, ref _) => Rotary(ref i, 7, 0)),
        ("rotary tables for all keys", "keyPositions", (ref i, ref _) => Rotary(ref i, 7, 4), (ref i, ref _) => Rotary(ref i, 6, 4)),
        (
            "rotary tables of one shape", "rotarySine", (ref i, ref _) => Rotary(ref i, 8, 2),
            (ref i, ref _) => { Rotary(ref i, 8, 2); i.RotarySine = Floats(9, 2); }),
        (
            "rank of rotary tables", "rotaryCosine", (ref i, ref _) => Rotary(ref i, 9, 3),
            (ref i, ref _) => { i.RotaryCosine = Floats(9); i.RotarySine = Floats(9); }),
        ("last position", "queryPositions", (ref i, ref _) => Positions(ref i, 8, null), (ref i, ref _) => Positions(ref i, 9, null)),
        ("first position", "queryPositions", (ref i, ref _) => Positions(ref i, 0, null), (ref i, ref _) => Positions(ref i, -1, null)),
        (
            "last position of a key", "keyPositions", (ref i, ref _) => Positions(ref i, null, 8),
            (ref i, ref _) => Positions(ref i, null, 9)),
        (
            "first position of a key", "keyPositions", (ref i, ref _) => Positions(ref i, null, 0),
            (ref i, ref _) => Positions(ref i, null, -1)),
        (
            "shape of positions", "queryPositions", (ref i, ref _) => Positions(ref i, 1, null),
            (ref i, ref _) => { Positions(ref i, 1, null); i.QueryPositions = Numbers(1, 2, 7); }),
        (
            "positions of keys and tables", "keyPositions", (ref i, ref _) => Positions(ref i, null, 1),
            (ref i, ref _) => i.KeyPositions = Numbers(1, 2, 7)),
        ("rank of a mask", "mask", (ref i, ref _) => i.Mask = Floats(2, 4, 5, 7), (ref i, ref _) => i.Mask = Floats(1, 2, 4, 5, 7)),
        ("keys of a mask", "mask", (ref i, ref _) => i.Mask = Floats(7), (ref i, ref _) => i.Mask = Floats(8)),
        ("repeated mask", "mask", (ref i, ref _) => i.Mask = Floats(1, 1, 1, 1), (ref i, ref _) => i.Mask = Floats(1, 1, 2, 1)),
        ("fewer keys of a mask", "mask", (ref i, ref _) => i.Mask = Floats(1, 1, 1, 2), (ref i, ref _) => i.Mask = Floats(1, 1, 2, 2)),
        ("no keys of a mask", "mask", (ref i, ref _) => i.Mask = Floats(5, 0), (ref i, ref _) => i.Mask = Floats(0, 7)),
        ("queries of a mask", "mask", (ref i, ref _) => i.Mask = Floats(5, 1), (ref i, ref _) => i.Mask = Floats(6, 1)),
        ("heads of a mask", "mask", (ref i, ref _) => i.Mask = Floats(4, 1, 1), (ref i, ref _) => i.Mask = Floats(2, 1, 1)),
        ("batch of a mask", "mask", (ref i, ref _) => i.Mask = Floats(2, 1, 5, 1), (ref i, ref _) => i.Mask = Floats(3, 1, 5, 1)),
    ];

    public static TheoryData<string> Borders => [.. _borders.Select(border => border.Name)];

    [Theory]
    [MemberData(nameof(Borders))]
    public void The_last_good_value_passes_and_the_next_is_refused(string name)
    {
        (_, string parameter, Change good, Change bad) = _borders.Single(border => border.Name == name);
        foreach (string device in new[] { "reference", "simd" })
        {
            Run(device, good);
            ArgumentException exception = Assert.ThrowsAny<ArgumentException>(() => Run(device, bad));
            Assert.Equal(parameter, exception.ParamName);
        }
    }

    [Fact]
    public void Weights_that_are_asked_for_must_have_a_place()
    {
        ArgumentException exception = Assert.Throws<ArgumentException>(() => Engines.Reference.ScaledDotProductAttentionWithWeights<float>(
            Floats(1, 1, 2, 4), Floats(1, 1, 3, 4), Floats(1, 1, 3, 4), Floats(1, 1, 2, 4), default));
        Assert.Equal("weights", exception.ParamName);
    }

    [Fact]
    public void A_product_has_at_least_one_row_of_weights_and_one_element()
    {
        Linear([3, 1], [1, 1], [3, 1]);
        Linear([0, 1], [1, 1], [0, 1]);
        Assert.Equal("weight", Assert.Throws<ArgumentException>(() => Linear([3, 0], [6, 0], [3, 6])).ParamName);
        Assert.Equal("weight", Assert.Throws<ArgumentException>(() => Linear([3, 4], [0, 4], [3, 0])).ParamName);

        static void Linear(nint[] input, nint[] weight, nint[] output) =>
            Engines.Reference.Linear<float>(Floats(input), Floats(weight), Floats(output));
    }

    [Fact]
    public void An_axis_has_at_most_31_bits()
    {
        foreach (string device in Engines.All)
        {
            using var engine = new AttentionEngine(device, new AttentionEngineOptions { MemoryLimitBytes = 1 });
            ArgumentException refused =
                Assert.Throws<ArgumentException>(() => engine.CreateTensor<bool>(1, nint.CreateChecked(1L << 31)));
            Assert.Equal("lengths", refused.ParamName);
            Exception? exception = Record.Exception(() => engine.CreateTensor<bool>(1, int.MaxValue));
            Assert.True(exception is AttentionMemoryException or NotSupportedException, $"{exception}");
        }
    }

    [Fact]
    public void A_size_of_a_layer_that_is_not_positive_is_named()
    {
        MultiHeadAttentionConfig good =
            new() { EmbeddingSize = 4, Heads = 2, KeyValueHeads = 1, HeadSize = 2, KeySize = 3, ValueSize = 3 };
        foreach (int size in new[] { 0, -1 })
        {
            AssertNamed("EmbeddingSize", good with { EmbeddingSize = size });
            AssertNamed("Heads", good with { Heads = size });
            AssertNamed("KeyValueHeads", good with { KeyValueHeads = size });
            AssertNamed("HeadSize", good with { HeadSize = size });
            AssertNamed("KeySize", good with { KeySize = size });
            AssertNamed("ValueSize", good with { ValueSize = size });
        }

        static void AssertNamed(string name, MultiHeadAttentionConfig config) => Assert.Equal(
            name, Assert.Throws<ArgumentOutOfRangeException>(() => MultiHeadAttentionWeights.Random(config, 1)).ParamName);
    }

    [Fact]
    public void A_layer_may_have_sizes_up_to_31_bits_together()
    {
        // The weights fit neither, and are looked at after the sizes.
        AssertRefusal("Query", new() { EmbeddingSize = 1, Heads = 1, HeadSize = 715_827_882 });
        AssertRefusal("The heads together", new() { EmbeddingSize = 1, Heads = 1, HeadSize = 715_827_883 });
        AssertRefusal("Query", new() { EmbeddingSize = int.MaxValue - 2, Heads = 1, HeadSize = 1 });
        AssertRefusal("The heads together", new() { EmbeddingSize = int.MaxValue - 1, Heads = 1, HeadSize = 1 });
        AssertRefusal("The heads together", new() { EmbeddingSize = 4, Heads = 65_536, HeadSize = 65_536, KeyValueHeads = 1 });
    }

    [Fact]
    public void The_smallest_layer_is_all_ones()
    {
        MultiHeadAttentionConfig config =
            new() { EmbeddingSize = 1, Heads = 1, KeyValueHeads = 1, HeadSize = 1, KeySize = 1, ValueSize = 1, Scale = 0f };
        AssertWorks(config, 1, 1);
        AssertWorks(config with { Heads = 3, KeyValueHeads = 3, HeadSize = null, EmbeddingSize = 3 }, 1, 1);
        AssertWorks(new() { EmbeddingSize = 5, Heads = 4, KeyValueHeads = 2, HeadSize = 3, KeySize = 2, ValueSize = 7 }, 2, 7);

        static void AssertWorks(MultiHeadAttentionConfig config, int keySize, int valueSize)
        {
            using var layer = new MultiHeadAttention<float>(Engines.Reference, config, MultiHeadAttentionWeights.Random(config, 1));
            Tensor<float> output = Data.Poisoned(1, 2, config.EmbeddingSize);
            layer.Forward(Floats(1, 2, config.EmbeddingSize), Floats(1, 3, keySize), Floats(1, 3, valueSize), output);
            Assert.All(Data.Flat(output), value => Assert.True(float.IsFinite(value)));
        }
    }

    private static void AssertRefusal(string mention, MultiHeadAttentionConfig config)
    {
        var small = new MultiHeadAttentionConfig { EmbeddingSize = 2, Heads = 1 };
        ArgumentException exception = Assert.ThrowsAny<ArgumentException>(
            () => new MultiHeadAttention<float>(Engines.Reference, config, MultiHeadAttentionWeights.Random(small, 1)).Dispose());
        Assert.Contains(mention, exception.Message, StringComparison.Ordinal);
    }

    private static void Run(string device, Change change)
    {
        var inputs = new AttentionInputs<float> { Query = Floats(2, 4, 5, 8), Key = Floats(2, 2, 7, 8), Value = Floats(2, 2, 7, 6) };
        AttentionOptions options = new();
        change(ref inputs, ref options);
        bool isJoined = inputs.Query.Lengths.Length == 3;
        Tensor<float> output = isJoined
            ? Tensor.CreateFromShape<float>([inputs.Query.Lengths[0], inputs.Query.Lengths[1], inputs.Query.Lengths[2]])
            : Tensor.CreateFromShape<float>([2, 4, 5, 6]);
        Engines.Get(device).ScaledDotProductAttention(inputs, new AttentionOutputs<float> { Output = output }, options);
    }

    private static void Same(ref AttentionInputs<float> inputs, ref AttentionOptions options)
    {
    }

    // One row, as often as is said.
    private static ReadOnlyTensorSpan<float> Repeated(nint length, nint size) => new(new float[size], [2, 2, length, size], [0, 0, 0, 1]);

    private static Change With(AttentionOptions own) => (ref _, ref options) => options = own;

    private static Change Normalised(float epsilon) => (ref inputs, ref options) =>
    {
        options = new() { NormEpsilon = epsilon };
        inputs.KeyNorm = Floats(inputs.Key.Lengths[^1]);
    };

    private static Change Joined(int heads, int keyValueHeads, AttentionLayout layout = AttentionLayout.BatchLengthHeads) =>
        (ref inputs, ref options) =>
        {
            // Heads that do not divide are to be found by the rows of queries or of keys, not by a head size that differs.
            nint[] query = [2, 2, 32];
            int ofKeys = keyValueHeads == 3 ? 2 : Math.Max(keyValueHeads, 1);
            nint[] key = [2, 2, 32 / Math.Max(heads, 1) * ofKeys];
            options = new() { Layout = layout, Heads = heads, KeyValueHeads = keyValueHeads };
            inputs = new() { Query = Floats(query), Key = Floats(key), Value = Floats(key) };
        };

    private static Change Prefix(params int[] lengths) => (ref inputs, ref options) =>
    {
        options = new() { Causal = Causal.TopLeft };
        inputs.PrefixLengths = lengths;
    };

    private static void Past(ref AttentionInputs<float> inputs, int length, int batch = 2, int keySize = 8, int valueSize = 6)
    {
        inputs.PastKey = Floats(batch, 2, length, keySize);
        inputs.PastValue = Floats(2, 2, length, valueSize);
    }

    private static void Keys(ref AttentionInputs<float> inputs, int length)
    {
        inputs.Key = Floats(2, 2, length, 8);
        inputs.Value = Floats(2, 2, length, 6);
    }

    private static void Documents(ref AttentionInputs<float> inputs, int queries, int? keys)
    {
        inputs.QueryDocuments = Numbers(1, 2, queries);
        inputs.KeyDocuments = keys is int count ? Numbers(1, 2, count) : default;
    }

    private static void Rotary(ref AttentionInputs<float> inputs, int positions, int columns)
    {
        inputs.RotaryCosine = Floats(positions, columns);
        inputs.RotarySine = Floats(positions, columns);
    }

    private static void Positions(ref AttentionInputs<float> inputs, int? query, int? key)
    {
        Rotary(ref inputs, 9, 4);
        inputs.QueryPositions = query is int ofQueries ? Numbers(ofQueries, 2, 5) : default;
        inputs.KeyPositions = key is int ofKeys ? Numbers(ofKeys, 2, 7) : default;
    }

    private static Tensor<float> Floats(params ReadOnlySpan<nint> lengths) => Data.Random(new Random(1), lengths);

    private static ReadOnlyTensorSpan<int> Numbers(int value, params ReadOnlySpan<nint> lengths)
    {
        Tensor<int> tensor = Tensor.CreateFromShape<int>(lengths);
        tensor.Fill(value);
        return tensor.AsReadOnlyTensorSpan();
    }
}
