using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>Calls that return their output give what the others write.</summary>
public class ReturnedOutputTests
{
    private static readonly MultiHeadAttentionConfig _config = new()
    {
        EmbeddingSize = 24,
        Heads = 4,
        KeyValueHeads = 2,
        KeySize = 10,
        ValueSize = 7,
    };

    [Theory]
    [EveryDevice]
    public void Attention_returns_what_it_writes(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var random = new Random(3);
        (Tensor<float> query, Tensor<float> key, Tensor<float> value) =
            (Data.Random(random, 2, 4, 5, 8), Data.Random(random, 2, 2, 7, 8), Data.Random(random, 2, 2, 7, 3));
        Tensor<bool> mask = Data.RandomBoolean(random, 0.7, 5, 7);
        var options = new AttentionOptions { Softcap = 2f };
        Tensor<float> expected = Data.Poisoned(2, 4, 5, 3);
        engine.ScaledDotProductAttention<float>(query, key, value, expected, options, mask);
        AssertSame(expected, engine.ScaledDotProductAttention(query, key, value, options, mask));

        // The same heads in one axis, after the length.
        Tensor<float> Joined(Tensor<float> tensor)
        {
            Tensor<float> ordered = Tensor.PermuteDimensions(tensor, [0, 2, 1, 3]).ToDenseTensor();
            return Tensor.Create(Data.Flat(ordered), [ordered.Lengths[0], ordered.Lengths[1], ordered.Lengths[2] * ordered.Lengths[3]]);
        }

        AttentionOptions joined = options with { Layout = AttentionLayout.BatchLengthHeads, Heads = 4, KeyValueHeads = 2 };
        AssertSame(Joined(expected), engine.ScaledDotProductAttention(Joined(query), Joined(key), Joined(value), joined, mask));
    }

    [Theory]
    [EveryDevice]
    public void A_product_returns_what_it_writes(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        (Tensor<float> input, Tensor<float> weight) = (Data.Random(new Random(1), 3, 2, 7), Data.Random(new Random(2), 5, 7));
        Tensor<float> expected = Data.Poisoned(3, 2, 5);
        engine.Linear<float>(input, weight, expected);
        AssertSame(expected, engine.Linear(input, weight));
    }

    [Theory]
    [EveryDevice]
    public void A_layer_returns_what_it_writes(string backend)
    {
        var random = new Random(3);
        MultiHeadAttentionConfig plain = new() { EmbeddingSize = 24, Heads = 4 };
        using var self = new MultiHeadAttention<float>(Engines.Get(backend), plain, MultiHeadAttentionWeights.Random(plain, 1));
        using var cross = new MultiHeadAttention<float>(Engines.Get(backend), _config, MultiHeadAttentionWeights.Random(_config, 1));
        (Tensor<float> query, Tensor<float> key, Tensor<float> value) =
            (Data.Random(random, 2, 5, 24), Data.Random(random, 2, 7, 10), Data.Random(random, 2, 7, 7));
        Tensor<bool> padding = Data.RandomBoolean(random, 0.3, 2, 7);
        Tensor<bool> mask = Data.RandomBoolean(random, 0.7, 5, 7);

        Tensor<float> expected = Data.Poisoned(2, 5, 24);
        self.Forward(query, expected, Causal.TopLeft);
        AssertSame(expected, self.Forward(query, Causal.TopLeft));

        expected = Data.Poisoned(2, 5, 24);
        cross.Forward(query, key, value, expected, Causal.BottomRight, mask, padding);
        AssertSame(expected, cross.Forward(query, key, value, Causal.BottomRight, mask, padding));
        using DeviceTensor<float> onDevice = Engines.Get(backend).CreateTensor(query.AsReadOnlyTensorSpan());
        AssertSame(expected, cross.Forward(onDevice, key, value, Causal.BottomRight, mask, padding));
    }

    [Fact]
    public void Calls_that_return_their_output_have_the_rules_of_the_others()
    {
        AttentionEngine engine = Engines.Reference;
        var random = new Random(3);
        (Tensor<float> query, Tensor<float> key) = (Data.Random(random, 2, 4, 5, 8), Data.Random(random, 2, 2, 7, 8));
        Assert.Equal("query", Assert.Throws<ArgumentNullException>(() => engine.ScaledDotProductAttention(null!, key, key)).ParamName);
        Assert.Equal("key", Assert.Throws<ArgumentNullException>(() => engine.ScaledDotProductAttention(query, null!, key)).ParamName);
        Assert.Equal("value", Assert.Throws<ArgumentNullException>(() => engine.ScaledDotProductAttention(query, key, null!)).ParamName);
        Assert.Equal("query", Assert.Throws<ArgumentException>(
            () => engine.ScaledDotProductAttention(Data.Random(random, 5), key, key)).ParamName);
        Assert.Equal("value", Assert.Throws<ArgumentException>(
            () => engine.ScaledDotProductAttention(query, key, Data.Random(random, 2, 2, 6, 8))).ParamName);
        Assert.Throws<ArgumentOutOfRangeException>(
            () => engine.ScaledDotProductAttention(query, key, key, new AttentionOptions { Scale = float.NaN }));
        Assert.Throws<ArgumentOutOfRangeException>(() => engine.ScaledDotProductAttention(
            Data.Random(random, 2, 5, 8), key, key, new AttentionOptions { Layout = AttentionLayout.BatchLengthHeads, Heads = 0 }));

        using var layer = new MultiHeadAttention<float>(engine, _config, MultiHeadAttentionWeights.Random(_config, 1));
        Tensor<float> input = Data.Random(random, 2, 5, 24);
        Assert.Equal("key", Assert.Throws<ArgumentException>(() => layer.Forward(input, input, input)).ParamName);
        Assert.Equal("input", Assert.Throws<ArgumentException>(() => layer.Forward(Data.Random(random, 24))).ParamName);
        Assert.Equal("input", Assert.Throws<ArgumentException>(() => layer.Forward((Tensor<float>)null!)).ParamName);
    }

    private static void AssertSame(Tensor<float> expected, Tensor<float> actual)
    {
        Assert.Equal(expected.Lengths.ToArray(), actual.Lengths.ToArray());
        Assert.DoesNotContain(float.NaN, Data.Flat(expected));
        Assert.Equal(Data.Flat(expected), Data.Flat(actual));
    }
}
