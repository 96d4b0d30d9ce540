using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>A tensor that is null by mistake is refused, not taken for another call.</summary>
public class NullTensorTests
{
    private static readonly MultiHeadAttentionConfig _config = new() { EmbeddingSize = 12, Heads = 2 };

    [Fact]
    public void Cross_attention_without_keys_or_values_is_not_self_attention()
    {
        using var layer = new MultiHeadAttention<float>(Engines.Reference, _config, MultiHeadAttentionWeights.Random(_config, 1));
        Tensor<float> query = Data.Random(new Random(1), 2, 3, 12);
        Tensor<float> output = Data.Poisoned(2, 3, 12);
        Tensor<float> weights = Data.Poisoned(2, 2, 3, 3);
        Tensor<float>? none = null;
        Refused("key", () => layer.Forward(query, none, query, output));
        Refused("value", () => layer.Forward(query, query, none, output));
        Refused("key", () => layer.Forward(query, none, none));
        Refused("key", () => layer.ForwardWithWeights(query, none, none, output, weights));
        Refused("input", () => layer.Forward(none, output));
        Refused("weights", () => layer.ForwardWithWeights(query, query, query, output, none));
        Assert.All(Data.Flat(output), value => Assert.True(float.IsNaN(value)));
    }

    [Fact]
    public void Errors_name_the_parameter_of_the_call()
    {
        using var layer = new MultiHeadAttention<float>(Engines.Reference, _config, MultiHeadAttentionWeights.Random(_config, 1));
        using var other = new AttentionEngine("reference");
        using DeviceTensor<float> foreign = other.CreateTensor<float>(2, 3, 12);
        Tensor<float> output = Data.Poisoned(2, 3, 12);
        Refused("input", () => layer.Forward(foreign, output));
        Refused("query", () => layer.Forward(new MultiHeadAttentionInputs<float> { Query = foreign }, new() { Output = output }));
        Refused("query", () => layer.Forward(Data.Random(new Random(1), 3, 12), output, output, Data.Poisoned(3, 12)));
        Refused("output", () => layer.Forward(output, output));
    }

    private static void Refused(string parameter, Action call)
    {
        ArgumentException exception = Assert.ThrowsAny<ArgumentException>(call);
        Assert.True(exception.ParamName == parameter || exception.Message.Contains($"'{parameter}'", StringComparison.Ordinal), exception.Message);
    }
}
