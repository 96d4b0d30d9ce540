using System.Numerics.Tensors;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>The hyperbolic tangent by which scores are capped, and caps of any size.</summary>
public unsafe class SoftcapTests
{
    private const double TanhUnits = 2.0;

    [Fact]
    public void Tanh_is_within_two_units_at_every_width()
    {
        AssertTanh<Vector512<float>, Operations512>();
        AssertTanh<Vector256<float>, Operations256>();
        AssertTanh<Vector128<float>, Operations128>();
    }

    /// <summary>Scores of 0 stay 0 under any cap, and ordinary ones are hardly bent by a large one.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    public void A_large_cap_leaves_scores_as_they_are(int queries)
    {
        foreach (int width in SimdRuns.Widths)
        {
            using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
            foreach (float cap in new[] { 1e-30f, 1f, 50f, 1000f, 10_000f, 1e6f, 1e30f, 1e37f, float.MaxValue })
            {
                foreach (int keys in new[] { 1, 3, 4, 8, 15, 16, 17, 40 })
                {
                    AssertLogSumExp(engine, queries, new float[keys], cap, $"{width} bits, cap {cap}, {keys} zeros");
                    float[] scores = [.. Enumerable.Range(0, keys).Select(key => 4f * key / keys - 1f)];
                    AssertLogSumExp(engine, queries, scores, cap, $"{width} bits, cap {cap}, {keys} keys");
                }
            }
        }
    }

    private static void AssertLogSumExp(AttentionEngine engine, int queries, float[] keys, float cap, string context)
    {
        double expected = Math.Log(keys.Sum(key => Math.Exp(cap * Math.Tanh((double)key / cap))));
        Tensor<float> logSumExp = Data.Poisoned(1, 1, queries);
        Tensor<float> key = Tensor.Create(keys, [1, 1, keys.Length, 1]);
        engine.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = Tensor.Create(Enumerable.Repeat(1f, queries).ToArray(), [1, 1, queries, 1]),
                Key = key,
                Value = key,
            },
            new AttentionOutputs<float> { Output = Data.Poisoned(1, 1, queries, 1), LogSumExp = logSumExp },
            new AttentionOptions { Softcap = cap });
        double tolerance = 1e-6 * Math.Max(1.0, Math.Abs(expected));
        Assert.All(
            Data.Flat(logSumExp),
            actual => Assert.True(Math.Abs(actual - expected) <= tolerance, $"{context}: {actual:R}, expected {expected:R}."));
    }

    private static void AssertTanh<TVector, TOperations>()
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
    {
        Assert.Equal(1f, Tanh<TVector, TOperations>(float.PositiveInfinity));
        Assert.Equal(1f, Tanh<TVector, TOperations>(float.MaxValue));
        Assert.Equal(1f, Tanh<TVector, TOperations>(9.1f));
        Assert.Equal(float.NaN, Tanh<TVector, TOperations>(float.NaN));
        Assert.Equal(0, BitConverter.SingleToInt32Bits(Tanh<TVector, TOperations>(0f)));
        Assert.Equal(int.MinValue, BitConverter.SingleToInt32Bits(Tanh<TVector, TOperations>(-0f)));
        Assert.Equal(float.Epsilon, Tanh<TVector, TOperations>(float.Epsilon));

        // One float in 4,099 from 0 to 10, and one in 61 around the point where one formula takes over from the other.
        for (int bits = 0; bits <= BitConverter.SingleToInt32Bits(10f); bits += 4099)
            AssertTanh<TVector, TOperations>(BitConverter.Int32BitsToSingle(bits));
        for (int bits = BitConverter.SingleToInt32Bits(0.6f); bits <= BitConverter.SingleToInt32Bits(0.65f); bits += 61)
            AssertTanh<TVector, TOperations>(BitConverter.Int32BitsToSingle(bits));
    }

    private static void AssertTanh<TVector, TOperations>(float x)
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
    {
        double expected = Math.Tanh(x);
        float actual = Tanh<TVector, TOperations>(x);
        double unit = (double)MathF.BitIncrement((float)expected) - (float)expected;
        double error = Math.Abs(actual - expected) / unit;
        Assert.True(error < TanhUnits, $"tanh {x:R} is {actual:R}, off by {error} units.");
        Assert.Equal(-actual, Tanh<TVector, TOperations>(-x));
    }

    private static float Tanh<TVector, TOperations>(float x)
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
    {
        float* lanes = stackalloc float[16];
        TOperations.Store(VectorMath<TVector, TOperations>.Tanh(TOperations.Broadcast(x)), lanes);
        return lanes[0];
    }
}
