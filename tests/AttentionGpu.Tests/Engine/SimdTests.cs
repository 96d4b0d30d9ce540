using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Tests.Support;
using CsCheck;

namespace AttentionGpu.Tests.Engine;

/// <summary>The host backend at every width and several thread counts; the other tests run it at the machine's width.</summary>
public unsafe class SimdTests
{
    private const int Problems = 60;
    private const float SmallestNormal = 1.17549435e-38f;

    [Theory]
    [InlineData(512, 1)]
    [InlineData(256, 1)]
    [InlineData(128, 1)]
    [InlineData(512, 3)]
    [InlineData(256, 2)]
    [InlineData(128, 5)]
    public void Every_width_agrees_with_the_reference(int width, int threads)
    {
        using var engine = new AttentionEngine(new SimdBackend(width, threads));
        AttentionSizes.Gen.Sample(
            sizes =>
            {
                AttentionCase problem = AttentionCase.Create(sizes);
                Close.Assert(problem.Run(Engines.Reference), problem.Run(engine), sizes.ToString());
            },
            iter: Problems,
            threads: 1);

        // Long enough for several blocks of keys and of queries, and for more threads than one.
        foreach (Causal causal in Enum.GetValues<Causal>())
        {
            AttentionCase problem = AttentionCase.Create(
                new AttentionSizes(1, 1, 2, 203, 311, 24, 20, causal, MaskForm.AdditiveWithInfinities, 2, false, null, 4));
            Close.Assert(problem.Run(Engines.Reference), problem.Run(engine), $"{causal}");
        }

        LayerCase layer = LayerCase.Create(new LayerSizes(2, 2, 2, 16, 97, 131, true, true, true, true, 5));
        Close.Assert(layer.Run(Engines.Reference), layer.Run(engine), "layer");
        LayerCase thin = LayerCase.Create(new LayerSizes(1, 2, 2, 16, 3, 131, true, true, true, true, 6));
        Close.Assert(thin.Run(Engines.Reference), thin.Run(engine), "thin layer");
    }

    [Fact]
    public void The_exponential_is_within_two_units_at_every_width()
    {
        AssertExponential<Vector512<float>, Operations512>();
        AssertExponential<Vector256<float>, Operations256>();
        AssertExponential<Vector128<float>, Operations128>();
    }

    private static void AssertExponential<TVector, TOperations>()
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
    {
        Assert.Equal(0f, Exponential<TVector, TOperations>(float.NegativeInfinity));
        Assert.Equal(0f, Exponential<TVector, TOperations>(float.MinValue));
        Assert.Equal(0f, Exponential<TVector, TOperations>(-105f));
        foreach (float x in new[] { -87.4f, -88f, -90f, -100f, -104.9f })
            Assert.InRange(Exponential<TVector, TOperations>(x), 0f, SmallestNormal);
        Assert.Equal(1f, Exponential<TVector, TOperations>(0f));
        Assert.Equal(1f, Exponential<TVector, TOperations>(-0f));
        Assert.Equal(1f, Exponential<TVector, TOperations>(-float.Epsilon));
        Assert.True(float.IsNaN(Exponential<TVector, TOperations>(float.NaN)));

        // One float in 4,099 from -0 to the last whose exponential is a normal number: about 270,000.
        int last = BitConverter.SingleToInt32Bits(87.33f);
        for (int bits = 0; bits <= last; bits += 4099)
        {
            float x = -BitConverter.Int32BitsToSingle(bits);
            double expected = Math.Exp(x);
            double unit = (double)MathF.BitIncrement((float)expected) - (float)expected;
            double error = Math.Abs(Exponential<TVector, TOperations>(x) - expected) / unit;
            Assert.True(error < 2.0, $"exp({x:R}) is off by {error} units.");
        }
    }

    private static float Exponential<TVector, TOperations>(float x)
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
    {
        float* lanes = stackalloc float[16];
        TOperations.Store(VectorMath<TVector, TOperations>.ExpOfNonPositive(TOperations.Broadcast(x)), lanes);
        return lanes[0];
    }
}
