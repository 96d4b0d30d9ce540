using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>
/// Intermediate results that overflow or underflow float32 where the true result does neither, and functions over their range.
/// </summary>
public class LargeNumberTests
{
    private const float Large = 3e38f;
    private const double MostUlps = 2.0;

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void The_mean_of_values_whose_sum_overflows_is_finite(string backend)
    {
        Assert.Equal(Large, Mean(backend, [Large, Large], default), 1e33f);
        Assert.Equal(-float.MaxValue, Mean(backend, [-float.MaxValue, -float.MaxValue, -float.MaxValue], default), 1e33f);
        Assert.Equal(0f, Mean(backend, [Large, Large, -Large, -Large], default), 1e33f);

        // Beside a hidden value that is not finite.
        Tensor<bool> mask = Tensor.Create([true, true, false], [3]);
        Assert.Equal(Large, Mean(backend, [Large, Large, float.NaN], mask), 1e33f);
        Assert.Equal(float.PositiveInfinity, Mean(backend, [Large, Large, float.PositiveInfinity], default));
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void The_mean_of_large_bfloat16_values_is_finite(string backend)
    {
        Tensor<BFloat16> zeros = Tensor.CreateFromShape<BFloat16>([1, 1, 2, 1]);
        Tensor<BFloat16> values = Tensor.Create([(BFloat16)Large, (BFloat16)Large], [1, 1, 2, 1]);
        Tensor<BFloat16> output = Tensor.Create([(BFloat16)float.NaN, (BFloat16)float.NaN], [1, 1, 2, 1]);
        Engines.Get(backend).ScaledDotProductAttention<BFloat16>(zeros, zeros, values, output);
        Assert.All(Data.Flat(output), mean => Assert.Equal((BFloat16)Large, mean));
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_row_is_normalised_where_its_squares_overflow_or_underflow(string backend)
    {
        foreach (float size in new[] { 1e20f, 3e38f, 1e18f, 1e-18f, 1e-21f, 1e-30f })
        {
            foreach (int elements in new[] { 2, 300 })
            {
                // The norm of [size, 0, ...] is [sqrt(elements), 0, ...]: a score of it times 0.1, and one of 0.
                var query = new float[elements];
                var keys = new float[2 * elements];
                query[0] = size;
                keys[0] = 0.1f;
                Tensor<float> output = Data.Poisoned(1, 1, 1, 1);
                Engines.Get(backend).ScaledDotProductAttention(
                    new AttentionInputs<float>
                    {
                        Query = Tensor.Create(query, [1, 1, 1, elements]),
                        Key = Tensor.Create(keys, [1, 1, 2, elements]),
                        Value = Tensor.Create([1f, 0f], [1, 1, 2, 1]),
                        QueryNorm = Tensor.Create(Enumerable.Repeat(1f, elements).ToArray(), [elements]),
                    },
                    new AttentionOutputs<float> { Output = output },
                    new AttentionOptions { Scale = 1f, NormEpsilon = size < 1f ? 0f : AttentionOptions.DefaultNormEpsilon });
                double expected = 1.0 / (1.0 + Math.Exp(-0.1f * Math.Sqrt(elements)));
                Assert.True(
                    Math.Abs(expected - output[0, 0, 0, 0]) <= 1e-5,
                    $"{backend}, {elements} of {size}: {output[0, 0, 0, 0]}, not {expected}");
            }
        }
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Soft_capping_is_accurate_over_its_range(string backend)
    {
        // With a head size, a scale and a cap of 1 a score is its key's hyperbolic tangent.
        float[] numbers =
        [
            0f, .. Enumerable.Range(0, 2000).Select(i => 1e-3f * i), .. Enumerable.Range(0, 3000).Select(i => -4e-3f * i),
            .. Enumerable.Range(0, 3000).Select(i => MathF.Pow(10f, -30f + 0.0105f * i)), 0.62499994f, 0.625f, 100f, 3e38f, -3e38f,
        ];
        Tensor<float> key = Tensor.Create(numbers, [1, 1, numbers.Length, 1]);
        Tensor<float> scores = Data.Poisoned(1, 1, 1, numbers.Length);
        Engines.Get(backend).ScaledDotProductAttention(
            new AttentionInputs<float> { Query = Tensor.Create([1f], [1, 1, 1, 1]), Key = key, Value = key },
            new AttentionOutputs<float> { Output = Data.Poisoned(1, 1, 1, 1), Scores = scores, ScoreStage = ScoreStage.Softcapped },
            new AttentionOptions { Scale = 1f, Softcap = 1f });
        float[] actual = Data.Flat(scores);
        for (int i = 0; i < numbers.Length; i++)
        {
            double expected = Math.Tanh(numbers[i]);
            double ulp = numbers[i] == 0f ? 0.0 : MathF.BitIncrement(MathF.Abs((float)expected)) - (double)MathF.Abs((float)expected);
            Assert.True(
                Math.Abs(actual[i] - expected) <= MostUlps * ulp, $"{backend}: tanh({numbers[i]:R}) is {actual[i]:R}, not {expected:R}");
        }
    }

    private static float Mean(string backend, float[] values, AttentionMask mask)
    {
        Tensor<float> output = Data.Poisoned(1, 1, 1, 1);
        Engines.Get(backend).ScaledDotProductAttention<float>(
            Tensor.CreateFromShape<float>([1, 1, 1, 1]), Tensor.CreateFromShape<float>([1, 1, values.Length, 1]),
            Tensor.Create(values, [1, 1, values.Length, 1]), output, mask: mask);
        return output[0, 0, 0, 0];
    }
}
