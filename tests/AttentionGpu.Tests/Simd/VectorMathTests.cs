using System.Numerics.Tensors;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Backends.Simd.Attention;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>Elementary functions on vectors, against float64.</summary>
public unsafe class VectorMathTests
{
    private const float SmallestNormal = 1.17549435e-38f;

    /// <summary>Units that a hyperbolic tangent may be off by. Each of its formulas is off by more where the other belongs.</summary>
    private const double TanhUnits = 2.0;

    /// <summary>
    /// Scores are soft capped by 1, so the engine's softcapped scores are tanh of the queries. Both formulas meet at 0.625; every 256th
    /// float from a quarter of it to four times it is tried.
    /// </summary>
    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void A_softcap_is_a_tanh_over_its_whole_range(int width)
    {
        using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
        float[] points = TanhPoints(step: 256, growth: 1.07f);
        float[] actual = Softcapped(engine, points);
        for (int i = 0; i < points.Length; i++)
        {
            double expected = Math.Tanh(points[i]);
            double unit = Math.Max(MathF.BitIncrement((float)Math.Abs(expected)) - (double)(float)Math.Abs(expected), SmallestNormal);
            double error = Math.Abs(actual[i] - expected) / unit;
            Assert.True(error <= TanhUnits, $"tanh {points[i]:R} is {actual[i]:R}, off by {error} units.");
        }
    }

    /// <summary>
    /// With one key a row's log-sum-exp is its capped score. That reaches the kernels that hand no scores out: of blocks of
    /// queries, and of few.
    /// </summary>
    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_fused_softcap_is_a_tanh_on_both_sides_of_its_switch(string backend)
    {
        float[] points = TanhPoints(step: 1 << 20, growth: 1000f);
        foreach (bool few in backend == SimdBackend.Name ? new[] { false, true } : [false])
        {
            // All points are queries of one head, or each is the only query of its batch entry.
            (nint batch, nint queries) = few ? (points.Length, 1) : ((nint)1, points.Length);
            Tensor<float> query = Tensor.Create(points, [batch, 1, queries, 1]);
            Tensor<float> key = Tensor.Create(Enumerable.Repeat(1f, (int)batch).ToArray(), [batch, 1, 1, 1]);
            Tensor<float> logSumExp = Data.Poisoned(batch, 1, queries);
            Engines.Get(backend).ScaledDotProductAttention(
                new AttentionInputs<float> { Query = query, Key = key, Value = key },
                new AttentionOutputs<float> { Output = Data.Poisoned(batch, 1, queries, 1), LogSumExp = logSumExp },
                new AttentionOptions { Scale = 1f, Softcap = 1f });
            float[] actual = Data.Flat(logSumExp);
            for (int i = 0; i < points.Length; i++)
                Assert.Equal(Math.Tanh(points[i]), actual[i], 2.4e-7);
        }
    }

    [Fact]
    public void A_softcap_of_what_is_not_finite()
    {
        foreach (int width in SimdRuns.Widths)
        {
            using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
            Assert.Equal(
                [1f, -1f, float.NaN, 0f],
                Softcapped(engine, [float.PositiveInfinity, float.NegativeInfinity, float.NaN, 0f]));
        }
    }

    private static float[] TanhPoints(int step, float growth)
    {
        var points = new List<float>();
        for (int bits = BitConverter.SingleToInt32Bits(0.15625f); bits <= BitConverter.SingleToInt32Bits(2.5f); bits += step)
            points.Add(BitConverter.Int32BitsToSingle(bits));
        for (float x = 1e-30f; x < 200f; x *= growth)
            points.Add(x);
        return [.. points, .. points.Select(x => -x)];
    }

    private static float[] Softcapped(AttentionEngine engine, float[] points)
    {
        Tensor<float> one = Tensor.Create([1f], [1, 1, 1, 1]);
        Tensor<float> scores = Data.Poisoned(1, 1, points.Length, 1);
        engine.ScaledDotProductAttention(
            new AttentionInputs<float> { Query = Tensor.Create(points, [1, 1, points.Length, 1]), Key = one, Value = one },
            new AttentionOutputs<float>
            {
                Output = Data.Poisoned(1, 1, points.Length, 1),
                Scores = scores,
                ScoreStage = ScoreStage.Softcapped,
            },
            new AttentionOptions { Scale = 1f, Softcap = 1f });
        return Data.Flat(scores);
    }

    [Fact]
    public void The_exponentials_are_within_two_units_at_every_width()
    {
        AssertExponentials<Vector512<float>, Operations512>();
        AssertExponentials<Vector256<float>, Operations256>();
        AssertExponentials<Vector128<float>, Operations128>();
    }

    private static void AssertExponentials<TVector, TOperations>()
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
    {
        AssertExponential<TVector, TOperations, NaturalBase<TVector, TOperations>>(
            Math.Exp, 76.24f, [-76.25f, -77f, -87.4f, -100f, -105f]);
        AssertExponential<TVector, TOperations, BinaryBase<TVector, TOperations>>(
            x => Math.Pow(2.0, x), 110f, [-110.01f, -111f, -127f, -149f, -150f]);
    }

    // "last" is the negative of the last exponent whose power is computed; powers of the small ones are 0.
    private static void AssertExponential<TVector, TOperations, TBase>(Func<double, double> power, float last, float[] small)
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
        where TBase : struct, IScoreBase<TVector>
    {
        Assert.Equal(0f, Power<TVector, TOperations, TBase>(float.NegativeInfinity));
        Assert.Equal(0f, Power<TVector, TOperations, TBase>(float.MinValue));
        foreach (float x in small)
            Assert.Equal(0f, Power<TVector, TOperations, TBase>(x));
        Assert.Equal(1f, Power<TVector, TOperations, TBase>(0f));
        Assert.Equal(1f, Power<TVector, TOperations, TBase>(-0f));
        Assert.Equal(1f, Power<TVector, TOperations, TBase>(-float.Epsilon));
        Assert.True(float.IsNaN(Power<TVector, TOperations, TBase>(float.NaN)));

        // One float in 4,099 from -0 to the last: about 270,000.
        for (int bits = 0; bits <= BitConverter.SingleToInt32Bits(last); bits += 4099)
        {
            float x = -BitConverter.Int32BitsToSingle(bits);
            double expected = power(x);
            double unit = (double)MathF.BitIncrement((float)expected) - (float)expected;
            double error = Math.Abs(Power<TVector, TOperations, TBase>(x) - expected) / unit;
            Assert.True(error < 2.0, $"{typeof(TBase).Name} to the power of {x:R} is off by {error} units.");
        }
    }

    private static float Power<TVector, TOperations, TBase>(float x)
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
        where TBase : struct, IScoreBase<TVector>
    {
        float* lanes = stackalloc float[16];
        TOperations.Store(TBase.Power(TOperations.Broadcast(x)), lanes);
        return lanes[0];
    }
}
