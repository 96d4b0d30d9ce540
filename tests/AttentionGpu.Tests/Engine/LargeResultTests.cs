using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>Results that no host tensor can hold: the message has their shape, and nothing is computed.</summary>
public class LargeResultTests
{
    private const int Long = 1 << 20;

    [Fact]
    public void The_output_of_a_product_has_its_shape_in_the_message()
    {
        Tensor<float> column = Tensor.CreateFromShape<float>([Long, 1]);
        ArgumentException exception = Assert.Throws<ArgumentException>(() => Engines.Reference.Linear(column, column));
        Assert.Equal("weight", exception.ParamName);
        Assert.Contains("would be [1048576, 1048576];", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_output_of_attention_has_its_shape_in_the_message()
    {
        ArgumentException exception = Assert.Throws<ArgumentException>(() => Engines.Reference.ScaledDotProductAttention(
            Tensor.CreateFromShape<float>([1, 1, Long, 1]), Tensor.CreateFromShape<float>([1, 1, 1, 1]),
            Tensor.CreateFromShape<float>([1, 1, 1, Long])));
        Assert.Equal("query", exception.ParamName);
        Assert.Contains("would be [1, 1, 1048576, 1048576];", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_parameters_have_the_shape_of_their_matrix_in_the_message()
    {
        var config = new MultiHeadAttentionConfig { EmbeddingSize = Long, Heads = 1 };
        ArgumentException exception = Assert.Throws<ArgumentException>(() => MultiHeadAttentionWeights.Random(config, seed: 1));
        Assert.Contains("would be [1048576, 1048576];", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_output_may_have_long_axes()
    {
        Tensor<float> output = Engines.Reference.Linear(
            Tensor.CreateFromShape<float>([0, 1 << 16, 2]), Tensor.CreateFromShape<float>([1 << 16, 2]));
        Assert.Equal([0, 1 << 16, 1 << 16], output.Lengths.ToArray());
    }
}
