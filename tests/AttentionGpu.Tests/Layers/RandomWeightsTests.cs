using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>Random parameters of a layer: uniform within Glorot's bound, biases zero, the same for the same seed.</summary>
public class RandomWeightsTests
{
    private static readonly MultiHeadAttentionConfig _config =
        new() { EmbeddingSize = 96, Heads = 6, KeyValueHeads = 2, HeadSize = 10, KeySize = 40, ValueSize = 50 };

    [Fact]
    public void Matrices_are_uniform_within_the_bound_of_Glorot()
    {
        var weights = MultiHeadAttentionWeights.Random(_config, seed: 5);
        foreach ((Tensor<float> matrix, nint rows, nint columns) in new (Tensor<float>, nint, nint)[]
        {
            (weights.Query, 60, 96), (weights.Key, 20, 40), (weights.Value, 20, 50), (weights.Output, 96, 60),
        })
        {
            Assert.Equal([rows, columns], matrix.Lengths.ToArray());
            float[] values = Data.Flat(matrix);
            double bound = Math.Sqrt(6.0 / (rows + columns));

            // Of 800 uniform numbers the extremes are within 5 % of the bounds, and the mean and the variance, bound^2 / 3, within 20 %.
            Assert.InRange(values.Max(), 0.95 * bound, bound);
            Assert.InRange(values.Min(), -bound, -0.95 * bound);
            Assert.InRange(values.Average(), -0.1 * bound, 0.1 * bound);
            Assert.InRange(values.Average(value => value * value), 0.8 * bound * bound / 3.0, 1.2 * bound * bound / 3.0);
        }
    }

    [Fact]
    public void Biases_are_zero_or_left_out()
    {
        var weights = MultiHeadAttentionWeights.Random(_config, seed: 5);
        foreach ((Tensor<float>? bias, int length) in new[]
        {
            (weights.QueryBias, 60), (weights.KeyBias, 20), (weights.ValueBias, 20), (weights.OutputBias, 96),
        })
        {
            Assert.Equal(new float[length], Data.Flat(bias!));
        }

        var plain = MultiHeadAttentionWeights.Random(_config, seed: 5, bias: false);
        Assert.Equal([null, null, null, null], new[] { plain.QueryBias, plain.KeyBias, plain.ValueBias, plain.OutputBias });
    }

    [Fact]
    public void A_seed_gives_the_same_parameters_and_another_one_others()
    {
        float[] first = Data.Flat(MultiHeadAttentionWeights.Random(_config, seed: 5).Key);
        Assert.Equal(first, Data.Flat(MultiHeadAttentionWeights.Random(_config, seed: 5).Key));
        Assert.NotEqual(first, Data.Flat(MultiHeadAttentionWeights.Random(_config, seed: 6).Key));
    }
}
