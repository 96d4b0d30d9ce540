using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>Each rule of a layer's parameters and of its calls, by itself.</summary>
public class LayerRuleTests
{
    private static readonly MultiHeadAttentionConfig _config = new()
    {
        EmbeddingSize = 12,
        Heads = 4,
        KeyValueHeads = 2,
        HeadSize = 5,
        KeySize = 7,
        ValueSize = 9,
    };

    private static readonly string[] _required = ["Query", "Key", "Value", "Output"];

    public static TheoryData<string, string, int[][]> BadCalls => new()
    {
        { "rank of the query", "query", Shapes(query: [12]) },
        { "rank of the query beside keys with a batch", "key", Shapes(query: [3, 12]) },
        { "embedding size", "query", Shapes(query: [2, 3, 13], output: [2, 3, 13]) },
        { "rank of the key", "key", Shapes(key: [10, 7]) },
        { "key size", "key", Shapes(key: [2, 5, 12]) },
        { "batch of the key", "key", Shapes(key: [1, 5, 7]) },
        { "rank of the value", "value", Shapes(value: [1, 2, 5, 9]) },
        { "value size", "value", Shapes(value: [2, 5, 7]) },
        { "batch of the value", "value", Shapes(value: [3, 5, 9]) },
        { "length of the value", "value", Shapes(value: [2, 4, 9]) },
        { "length of the output", "output", Shapes(output: [2, 4, 12]) },
        { "size of the output", "output", Shapes(output: [2, 3, 20]) },
        { "batch of the padding", "keyPaddingMask", Shapes(padding: [1, 5]) },
        { "length of the padding", "keyPaddingMask", Shapes(padding: [2, 3]) },
        { "heads of the weights", "weights", Shapes(weights: [2, 2, 3, 5]) },
        { "keys of the weights", "weights", Shapes(weights: [2, 4, 3, 6]) },
        { "rank of the weights", "weights", Shapes(weights: [2, 3, 5]) },
        { "heads of the mask", "mask", Shapes(mask: [2, 3, 5]) },
        { "keys of the mask", "mask", Shapes(mask: [3, 6]) },
    };

    [Fact]
    public void A_good_call_works_in_both_orders()
    {
        Forward(batchFirst: true, Shapes());
        Forward(batchFirst: false, Shapes(query: [3, 2, 12], key: [5, 2, 7], value: [5, 2, 9], output: [3, 2, 12]));
        Assert.Throws<ArgumentException>(() => Forward(batchFirst: false, Shapes()));
    }

    [Theory]
    [MemberData(nameof(BadCalls))]
    public void A_bad_shape_is_named(string what, string parameter, int[][] shapes)
    {
        ArgumentException exception = Assert.Throws<ArgumentException>(() => Forward(batchFirst: true, shapes));
        Assert.True(exception.ParamName == parameter, $"{what}: {exception.Message}");
    }

    [Fact]
    public void Average_weights_have_no_heads()
    {
        using MultiHeadAttention<float> layer = Create(_config);
        Weights(2, 3, 5);
        foreach (nint[] lengths in new nint[][] { [2, 4, 3, 5], [2, 5, 3], [1, 3, 5] })
            Assert.Equal("weights", Assert.Throws<ArgumentException>(() => Weights(lengths)).ParamName);
        Assert.Equal("weights", Assert.Throws<ArgumentException>(() => Weights()).ParamName);

        void Weights(params nint[] lengths) => layer.ForwardWithWeights(
            Floats(2, 3, 12), Floats(2, 5, 7), Floats(2, 5, 9), Floats(2, 3, 12), lengths.Length == 0 ? default : Floats(lengths),
            averageHeads: true);
    }

    [Fact]
    public void Ragged_sequences_have_their_rules()
    {
        var plain = new MultiHeadAttentionConfig { EmbeddingSize = 12, Heads = 4 };
        using MultiHeadAttention<float> layer = Create(plain);
        using MultiHeadAttention<float> keys = Create(plain with { KeySize = 7 });
        using MultiHeadAttention<float> values = Create(plain with { ValueSize = 9 });
        layer.ForwardRagged(Floats(6, 12), [0, 6], Floats(6, 12));
        layer.ForwardRagged(Floats(6, 12), [0, 0, 2, 6, 6], Floats(6, 12), Causal.BottomRight);
        layer.ForwardRagged(Floats(0, 12), [0], Floats(0, 12));
        layer.ForwardRagged(Floats(6, 12), [0, 5], Floats(6, 12));
        layer.ForwardRagged(Floats(6, 12), [0], Floats(6, 12));
        AssertRefused("cumulativeLengths", layer, [6, 12], [], [6, 12]);
        AssertRefused("cumulativeLengths", layer, [6, 12], [1, 6], [6, 12]);
        AssertRefused("cumulativeLengths", layer, [6, 12], [0, 7], [6, 12]);
        AssertRefused("cumulativeLengths", layer, [6, 12], [0, 4, 3, 6], [6, 12]);
        AssertRefused("input", layer, [1, 6, 12], [0, 6], [1, 6, 12]);
        AssertRefused("input", layer, [6, 11], [0, 6], [6, 11]);
        AssertRefused("output", layer, [6, 12], [0, 6], [5, 12]);
        AssertRefused("key", keys, [6, 12], [0, 6], [6, 12]);
        AssertRefused("value", values, [6, 12], [0, 6], [6, 12]);
        Assert.Throws<ArgumentOutOfRangeException>(() => layer.ForwardRagged(Floats(6, 12), [0, 6], Floats(6, 12), (Causal)3));

        static void AssertRefused(string parameter, MultiHeadAttention<float> layer, nint[] input, int[] starts, nint[] output) => Assert.Equal(
            parameter, Assert.Throws<ArgumentException>(() => layer.ForwardRagged(Floats(input), starts, Floats(output))).ParamName);
    }

    [Fact]
    public void Ragged_sequences_have_no_order_of_batch_and_length()
    {
        var plain = new MultiHeadAttentionConfig { EmbeddingSize = 12, Heads = 4 };
        Tensor<float>[] outputs = [Data.Poisoned(6, 12), Data.Poisoned(6, 12)];
        for (int i = 0; i < 2; i++)
        {
            using MultiHeadAttention<float> layer = Create(plain with { BatchFirst = i == 0 });
            layer.ForwardRagged(Floats(6, 12), [0, 2, 6], outputs[i]);
        }

        Assert.Equal(Data.Flat(outputs[0]), Data.Flat(outputs[1]));
    }

    [Fact]
    public void Every_parameter_has_its_shape()
    {
        Dictionary<string, nint[]> shapes = new()
        {
            ["Query"] = [20, 12],
            ["Key"] = [10, 7],
            ["Value"] = [10, 9],
            ["Output"] = [12, 20],
            ["QueryBias"] = [20],
            ["KeyBias"] = [10],
            ["ValueBias"] = [10],
            ["OutputBias"] = [12],
        };
        new MultiHeadAttention<float>(Engines.Reference, _config, Make("", [])).Dispose();
        foreach ((string name, nint[] lengths) in shapes)
        {
            List<nint[]> others = [[lengths[0] + 1, .. lengths[1..]], [lengths[0] - 1, .. lengths[1..]], [.. lengths, 1]];
            if (lengths.Length == 2)
                others.AddRange([[lengths[1], lengths[0]], [lengths[0], lengths[1] + 1]]);
            foreach (nint[] other in others)
            {
                ArgumentException exception = Assert.Throws<ArgumentException>(
                    () => new MultiHeadAttention<float>(Engines.Reference, _config, Make(name, other)).Dispose());
                Assert.Equal(name, exception.ParamName);
            }
        }

        MultiHeadAttentionWeights Make(string changed, nint[] other)
        {
            Tensor<float> Of(string name) => Data.Random(new Random(1), name == changed ? other : shapes[name]);
            return new MultiHeadAttentionWeights
            {
                Query = Of("Query"),
                Key = Of("Key"),
                Value = Of("Value"),
                Output = Of("Output"),
                QueryBias = Of("QueryBias"),
                KeyBias = Of("KeyBias"),
                ValueBias = Of("ValueBias"),
                OutputBias = Of("OutputBias"),
            };
        }
    }

    [Fact]
    public void A_parameter_that_must_be_there_is_named_when_it_is_not()
    {
        MultiHeadAttentionWeights good = MultiHeadAttentionWeights.Random(_config, 1, bias: false);
        new MultiHeadAttention<float>(Engines.Reference, _config, good).Dispose();
        for (int missing = 0; missing < _required.Length; missing++)
        {
            var weights = new MultiHeadAttentionWeights
            {
                Query = missing == 0 ? null! : good.Query,
                Key = missing == 1 ? null! : good.Key,
                Value = missing == 2 ? null! : good.Value,
                Output = missing == 3 ? null! : good.Output,
            };
            ArgumentNullException exception =
                Assert.Throws<ArgumentNullException>(() => new MultiHeadAttention<float>(Engines.Reference, _config, weights).Dispose());
            Assert.Equal(_required[missing], exception.ParamName);
        }
    }

    private static int[][] Shapes(
        int[]? query = null, int[]? key = null, int[]? value = null, int[]? output = null, int[]? padding = null, int[]? weights = null,
        int[]? mask = null) =>
    [
        query ?? [2, 3, 12], key ?? [2, 5, 7], value ?? [2, 5, 9], output ?? [2, 3, 12], padding ?? [2, 5], weights ?? [2, 4, 3, 5],
        mask ?? [3, 5],
    ];

    private static void Forward(bool batchFirst, int[][] shapes)
    {
        Tensor<float>[] tensors = [.. shapes.Select(shape => Floats([.. shape.Select(length => (nint)length)]))];
        Tensor<bool> padding = Tensor.CreateFromShape<bool>(tensors[4].Lengths);
        Tensor<bool> mask = Tensor.CreateFromShape<bool>(tensors[6].Lengths);
        using MultiHeadAttention<float> layer = Create(_config with { BatchFirst = batchFirst });
        layer.ForwardWithWeights(
            tensors[0], tensors[1], tensors[2], tensors[3], tensors[5], mask: mask, keyPaddingMask: padding);
    }

    private static MultiHeadAttention<float> Create(MultiHeadAttentionConfig config) =>
        new(Engines.Reference, config, MultiHeadAttentionWeights.Random(config, 1));

    private static Tensor<float> Floats(params ReadOnlySpan<nint> lengths) => Data.Random(new Random(1), lengths);
}
