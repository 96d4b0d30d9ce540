using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>
/// Equal weights of equal values: the mean is the value, whatever the length. In one float32 sum the rounding errors of equal terms all
/// have one sign.
/// </summary>
public class LongSumTests
{
    private const float Value = 0.1f;
    private const double Tolerance = 5e-6;

    // Of an emulated device a group of threads takes microseconds a block of keys: the long ones are part of tests/fuzz.
    private const int LongScores = 1 << 19;

    private static readonly (int Queries, int Keys)[] _sizes = [(1, 4096), (40, 4096), (1, 16384), (40, 16384), (1, 131072), (40, 131072)];

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void The_mean_of_equal_values_is_the_value(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        foreach ((int queries, int keys) in _sizes)
        {
            if ((long)queries * keys > LongScores && !Fuzz.IsLong && engine.Device.Name is not ("simd" or "reference"))
                continue;
            Tensor<float> output = Data.Poisoned(1, 1, queries, 1);
            Tensor<float> logSumExp = Data.Poisoned(1, 1, queries);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float>
                {
                    Query = Tensor.CreateFromShape<float>([1, 1, queries, 1]),
                    Key = Tensor.CreateFromShape<float>([1, 1, keys, 1]),
                    Value = Tensor.Create(Enumerable.Repeat(Value, keys).ToArray(), [1, 1, keys, 1]),
                },
                new AttentionOutputs<float> { Output = output, LogSumExp = logSumExp });
            Assert.All(Data.Flat(output), mean => Near(1.0, mean / (double)Value));

            // A sum of so many is known by its logarithm to half a unit of the logarithm's last place.
            Assert.All(Data.Flat(logSumExp), logarithm => Near(1.0, Math.Exp(logarithm) / keys));

            void Near(double expected, double actual) =>
                Assert.True(Math.Abs(expected - actual) <= Tolerance, $"{backend}, {queries} x {keys}: off by {actual - expected:E2}");
        }
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Rows_that_grow_from_stretch_to_stretch_agree_with_the_reference(string backend)
    {
        // Scores rise along the keys, and so does each row's maximum; some keys are hidden, and a sink comes last.
        const int keys = 2600;
        const int queries = 19;
        var random = new Random(5);
        Tensor<float> query = Tensor.Create(Enumerable.Repeat(1f, 2 * queries).ToArray(), [1, 2, queries, 1]);
        Tensor<float> key = Tensor.Create(Enumerable.Range(0, keys).Select(i => i * 0.005f).ToArray(), [1, 1, keys, 1]);
        Tensor<float> value = Data.Random(random, 1, 1, keys, 40);
        Tensor<bool> mask = Data.RandomBoolean(random, 0.7, queries, keys);
        Tensor<float> sinks = Tensor.Create([9f, 12f], [2]);
        (Tensor<float> expected, Tensor<float> expectedSums) = Run(Engines.Reference);
        (Tensor<float> actual, Tensor<float> actualSums) = Run(Engines.Get(backend));
        Close.Assert(expected, actual, backend);
        Close.Assert(expectedSums, actualSums, backend);

        (Tensor<float> Output, Tensor<float> LogSumExp) Run(AttentionEngine engine)
        {
            Tensor<float> output = Data.Poisoned(1, 2, queries, 40);
            Tensor<float> logSumExp = Data.Poisoned(1, 2, queries);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float> { Query = query, Key = key, Value = value, Mask = mask, Sinks = sinks },
                new AttentionOutputs<float> { Output = output, LogSumExp = logSumExp },
                new AttentionOptions { Scale = 1f, Causal = Causal.BottomRight });
            return (output, logSumExp);
        }
    }
}
