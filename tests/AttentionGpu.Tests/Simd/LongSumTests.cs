using System.Numerics.Tensors;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>Sums of so many keys that one float32 sum of them all would drift.</summary>
public class LongSumTests
{
    private const int Keys = 1 << 22;
    private const int FewerKeys = 1 << 19;
    private const double Tolerance = 5e-6;

    /// <summary>Equal weights of one value: the mean is the value, whatever the length.</summary>
    [Theory]
    [InlineData(1, 1, Keys)]
    [InlineData(1, 16, Keys)]
    [InlineData(40, 1, Keys)]
    [InlineData(40, 16, FewerKeys)]
    public void The_mean_of_equal_values_is_the_value(int queries, int threads, int keys)
    {
        // 40 queries of 4 million keys take seconds a width: the other widths are part of tests/fuzz.
        int widths = queries == 1 || Fuzz.IsLong ? SimdRuns.Widths.Count : 1;
        foreach ((int width, float value) in SimdRuns.Widths.Zip([0.1f, 0.7f, 1f / 3f]).Take(widths))
        {
            var values = new float[keys];
            Array.Fill(values, value);
            (float[] output, float[] logSumExp) = Attend(width, threads, queries, new float[keys], values);
            AssertClose(value, output, $"{width} bits, {value:R}");
            AssertClose(Math.Log(keys), logSumExp, $"{width} bits, log-sum-exp");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    public void The_mean_of_random_positive_values_does_not_drift(int queries)
    {
        var random = new Random(queries);
        float[] values = [.. Enumerable.Range(0, Keys).Select(_ => random.NextSingle())];
        double expected = values.Average(value => (double)value);
        AssertClose(expected, Attend(SimdRuns.Widths[0], 1, queries, new float[Keys], values).Output, $"{queries} queries");
    }

    /// <summary>
    /// The first key has the largest score, so that all others weigh a third: sums of weights that are no whole numbers. Where it comes
    /// last, all that has been summed up shrinks by a factor at the end.
    /// </summary>
    [Theory]
    [InlineData(1, true)]
    [InlineData(1, false)]
    [InlineData(40, true)]
    [InlineData(40, false)]
    public void Many_equal_weights_beside_a_larger_one_do_not_drift(int queries, bool isFirst)
    {
        var keys = new float[FewerKeys];
        var values = new float[FewerKeys];
        Array.Fill(values, 0.1f);
        int largest = isFirst ? 0 : FewerKeys - 1;
        keys[largest] = MathF.Log(3f);
        double total = Math.Exp(keys[largest]) + FewerKeys - 1.0;
        foreach (int width in SimdRuns.Widths)
        {
            (float[] output, float[] logSumExp) = Attend(width, 1, queries, keys, values);
            AssertClose(0.1f, output, $"{width} bits");
            AssertClose(Math.Log(total), logSumExp, $"{width} bits, log-sum-exp");
        }
    }

    /// <summary>Scores that rise slowly, so that sums shrink a little again and again; more than one head, value and block.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(130)]
    public void Slowly_rising_scores_agree_with_float64(int queries)
    {
        const int length = 20_000;
        const int size = 37;
        const int heads = 2;
        var random = new Random(queries);
        float[] keys = [.. Enumerable.Range(0, heads * length).Select(key => key % length * 1e-3f)];
        Tensor<float> value = Data.Random(random, 1, heads, length, size);
        float[] values = Data.Flat(value);
        var expected = new float[heads * size];
        for (int head = 0; head < heads; head++)
        {
            double[] weights = [.. Enumerable.Range(0, length).Select(key => Math.Exp(keys[key] - (double)keys[length - 1]))];
            for (int i = 0; i < size; i++)
            {
                double sum = Enumerable.Range(0, length).Sum(key => weights[key] * values[(head * length + key) * size + i]);
                expected[head * size + i] = (float)(sum / weights.Sum());
            }
        }

        foreach (int width in SimdRuns.Widths)
        {
            using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
            Tensor<float> output = Data.Poisoned(1, heads, queries, size);
            Tensor<float> query = Tensor.Create(Enumerable.Repeat(1f, heads * queries).ToArray(), [1, heads, queries, 1]);
            engine.ScaledDotProductAttention<float>(query, Tensor.Create(keys, [1, heads, length, 1]), value, output);
            float[] actual = Data.Flat(output);
            for (int row = 0; row < heads * queries; row++)
            {
                float[] want = expected[(row / queries * size)..(row / queries * size + size)];
                Close.Assert(want, actual[(row * size)..(row * size + size)], $"{width} bits, row {row}");
            }
        }
    }

    /// <summary>With the weights asked for, the sums are those of blocks of queries, for one query too.</summary>
    [Fact]
    public void Weights_of_many_keys_add_up_to_one()
    {
        foreach (int width in SimdRuns.Widths)
        {
            using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
            Tensor<float> weights = Data.Poisoned(1, 1, 1, FewerKeys);
            var values = new float[FewerKeys];
            Array.Fill(values, 0.1f);
            Tensor<float> output = Data.Poisoned(1, 1, 1, 1);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float>
                {
                    Query = Tensor.Create([0f], [1, 1, 1, 1]),
                    Key = Tensor.Create(new float[FewerKeys], [1, 1, FewerKeys, 1]),
                    Value = Tensor.Create(values, [1, 1, FewerKeys, 1]),
                },
                new AttentionOutputs<float> { Output = output, Scores = weights, ScoreStage = ScoreStage.Weights });
            AssertClose(0.1f, Data.Flat(output), $"{width} bits");
            AssertClose(1.0, [(float)Data.Flat(weights).Sum(weight => (double)weight)], $"{width} bits, weights");
        }
    }

    private static (float[] Output, float[] LogSumExp) Attend(int width, int threads, int queries, float[] keys, float[] values)
    {
        using var engine = new AttentionEngine(new SimdBackend(width, threads));
        Tensor<float> output = Data.Poisoned(1, 1, queries, 1);
        Tensor<float> logSumExp = Data.Poisoned(1, 1, queries);
        engine.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = Tensor.Create(Enumerable.Repeat(1f, queries).ToArray(), [1, 1, queries, 1]),
                Key = Tensor.Create(keys, [1, 1, keys.Length, 1]),
                Value = Tensor.Create(values, [1, 1, keys.Length, 1]),
            },
            new AttentionOutputs<float> { Output = output, LogSumExp = logSumExp });
        return (Data.Flat(output), Data.Flat(logSumExp));
    }

    private static void AssertClose(double expected, float[] actual, string context) => Assert.All(
        actual,
        value => Assert.True(
            Math.Abs(value - expected) <= Tolerance * Math.Abs(expected), $"{context}: {value:R}, expected {expected:R}."));
}
