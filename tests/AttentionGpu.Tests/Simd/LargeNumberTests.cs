using System.Numerics.Tensors;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>Numbers that overflow float32 on the way to a result that it can hold.</summary>
public class LargeNumberTests
{
    private static readonly ScoreStage?[] _stages =
        [null, ScoreStage.Weights, ScoreStage.AverageWeights, ScoreStage.Products, ScoreStage.Softcapped, ScoreStage.Masked];

    /// <summary>
    /// 2 x 2e38 overflows, 2 x (2e38 x 1e-38) is 4. With negative keys alone every score of a float32 query would be -inf, as of hidden
    /// keys.
    /// </summary>
    [Theory]
    [InlineData(1, 1e-38f, 0f)]
    [InlineData(1, -1e-38f, -2e-38f)]
    [InlineData(40, 1e-38f, 0f)]
    [InlineData(40, -1e-38f, -2e-38f)]
    public void A_query_that_its_scale_makes_infinite_has_finite_scores(int queries, float first, float second)
    {
        double[] scores = [4e38 * first, 4e38 * second];
        double[] weights = Softmax(scores);
        foreach (int width in SimdRuns.Widths)
        {
            foreach (ScoreStage? stage in _stages)
            {
                using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
                Tensor<float> output = Data.Poisoned(1, 1, queries, 1);
                Tensor<float> logSumExp = Data.Poisoned(1, 1, queries);
                Tensor<float>? written = stage switch
                {
                    null => null,
                    ScoreStage.AverageWeights => Data.Poisoned(1, queries, 2),
                    _ => Data.Poisoned(1, 1, queries, 2),
                };
                engine.ScaledDotProductAttention(
                    new AttentionInputs<float>
                    {
                        Query = Tensor.Create(Enumerable.Repeat(2e38f, queries).ToArray(), [1, 1, queries, 1]),
                        Key = Tensor.Create([first, second], [1, 1, 2, 1]),
                        Value = Tensor.Create([1f, 0f], [1, 1, 2, 1]),
                    },
                    new AttentionOutputs<float> { Output = output, LogSumExp = logSumExp, Scores = written, ScoreStage = stage ?? default },
                    new AttentionOptions { Scale = 2f });
                double expectedSum = scores.Max() + Math.Log(scores.Sum(score => Math.Exp(score - scores.Max())));
                Assert.All(Data.Flat(output), value => Assert.Equal(weights[0], value, 1e-6));
                Assert.All(Data.Flat(logSumExp), value => Assert.Equal(expectedSum, value, 1e-5));
                if (written is null)
                    continue;
                double[] expected = stage is ScoreStage.Weights or ScoreStage.AverageWeights ? weights : scores;
                float[] actual = Data.Flat(written);
                for (int i = 0; i < actual.Length; i++)
                    Assert.Equal(expected[i % 2], actual[i], 1e-5);
            }
        }
    }

    /// <summary>A hidden key's product is asked for too, and no visible one shows that the scaled query has overflowed.</summary>
    [Fact]
    public void Products_of_hidden_keys_do_not_overflow_either()
    {
        using var engine = new AttentionEngine(SimdBackend.Name);
        Tensor<float> products = Data.Poisoned(1, 1, 1, 2);
        engine.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = Tensor.Create([2e38f], [1, 1, 1, 1]),
                Key = Tensor.Create([1e-38f, 0f], [1, 1, 2, 1]),
                Value = Tensor.Create([1f, 1f], [1, 1, 2, 1]),
                Mask = Tensor.Create([false, false], [2]),
            },
            new AttentionOutputs<float> { Output = Data.Poisoned(1, 1, 1, 1), Scores = products, ScoreStage = ScoreStage.Products },
            new AttentionOptions { Scale = 2f });
        Assert.Equal([4f, 0f], Data.Flat(products), (expected, actual) => Math.Abs(expected - actual) < 1e-5);
    }

    /// <summary>The sum of the values overflows, their mean does not. Keys are split among threads where there are more.</summary>
    [Theory]
    [InlineData(1, 2, 1)]
    [InlineData(40, 2, 1)]
    [InlineData(2, 1000, 16)]
    [InlineData(17, 1000, 16)]
    [InlineData(1, 9000, 1)]
    [InlineData(40, 9000, 1)]
    public void The_mean_of_large_values_is_finite(int queries, int keys, int threads)
    {
        foreach (int width in SimdRuns.Widths)
        {
            using var engine = new AttentionEngine(new SimdBackend(width, threads));
            AssertMean(engine, queries, keys, value => value, value => value, 3e38f);
            AssertMean(engine, queries, keys, value => (BFloat16)value, value => value, (BFloat16)3e38f);
            AssertMean(engine, queries, keys, value => (Half)value, value => (float)value, 65504f);
        }
    }

    /// <summary>Rows whose squares overflow float32, or vanish in it, at sizes around the vectors'.</summary>
    [Theory]
    [InlineData(1e20f, 1e-6f)]
    [InlineData(3e38f, 1e-6f)]
    [InlineData(1e-20f, 0f)]
    [InlineData(1e-30f, 0f)]
    [InlineData(1e-40f, 0f)]
    public void A_root_mean_square_is_that_of_the_row(float element, float epsilon)
    {
        foreach (int size in new[] { 2, 3, 8, 9, 16, 23 })
        {
            // One element and its negative half: the norm is of a size of 1.
            var query = new float[size];
            (query[0], query[^1]) = (element, -element / 2f);
            double mean = Math.Sqrt(((double)query[0] * query[0] + (double)query[^1] * query[^1]) / size + epsilon);
            double[] scores = [query[0] / mean, query[^1] / mean];
            var keys = new float[2 * size];
            keys[0] = 1f;
            keys[^1] = 1f;
            using var engine = new AttentionEngine(SimdBackend.Name);
            Tensor<float> output = Data.Poisoned(1, 1, 1, 1);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float>
                {
                    Query = Tensor.Create(query, [1, 1, 1, size]),
                    Key = Tensor.Create(keys, [1, 1, 2, size]),
                    Value = Tensor.Create([1f, 0f], [1, 1, 2, 1]),
                    QueryNorm = Tensor.Create(Enumerable.Repeat(1f, size).ToArray(), [size]),
                },
                new AttentionOutputs<float> { Output = output },
                new AttentionOptions { Scale = 1f, NormEpsilon = epsilon });
            Assert.Equal(Softmax(scores)[0], Data.Flat(output)[0], 1e-5);
        }
    }

    private static void AssertMean<T>(
        AttentionEngine engine, int queries, int keys, Converter<float, T> store, Converter<T, float> load, float value)
        where T : unmanaged
    {
        Tensor<T> output = Tensor.Create(Array.ConvertAll(Data.Flat(Data.Poisoned(queries)), store), [1, 1, queries, 1]);
        engine.ScaledDotProductAttention<T>(
            Tensor.Create(new T[queries], [1, 1, queries, 1]), Tensor.Create(new T[keys], [1, 1, keys, 1]),
            Tensor.Create(Enumerable.Repeat(store(value), keys).ToArray(), [1, 1, keys, 1]), output);
        Assert.All(Data.Flat(output), actual => Assert.Equal(value, load(actual), Math.Abs(value) * 5e-6f));
    }

    private static double[] Softmax(double[] scores)
    {
        double[] weights = [.. scores.Select(score => Math.Exp(score - scores.Max()))];
        return [.. weights.Select(weight => weight / weights.Sum())];
    }
}
