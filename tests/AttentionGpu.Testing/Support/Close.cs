using System.Numerics.Tensors;

namespace AttentionGpu.Tests.Support;

/// <summary>Comparison of float32 results.</summary>
internal static class Close
{
    /// <summary>The largest difference that passes, relative to the largest expected value.</summary>
    public const double Tolerance = 1e-5;

    /// <summary>Numbers below it have fewer digits.</summary>
    public const double SmallestNormal = 1.17549435e-38;

    /// <summary>Fails unless every element is within the tolerance; an element that is NaN on one side alone always fails.</summary>
    public static void Assert(Tensor<float> expected, Tensor<float> actual, string context, double tolerance = Tolerance, double smallest = SmallestNormal)
    {
        Xunit.Assert.Equal(expected.Lengths.ToArray(), actual.Lengths.ToArray());
        Assert(Data.Flat(expected), Data.Flat(actual), context, tolerance, smallest);
    }

    /// <summary>The same of elements without a shape.</summary>
    public static void Assert(float[] want, float[] got, string context, double tolerance = Tolerance, double smallest = SmallestNormal)
    {
        Xunit.Assert.Equal(want.Length, got.Length);
        double largest = want.Where(float.IsFinite).Select(value => Math.Abs((double)value)).DefaultIfEmpty(0.0).Max();
        for (int i = 0; i < want.Length; i++)
        {
            bool equal = float.IsNaN(want[i])
                ? float.IsNaN(got[i])
                : want[i] == got[i] || Math.Abs((double)want[i] - got[i]) <= Math.Max(tolerance * largest, smallest);
            if (!equal)
                Xunit.Assert.Fail($"{context}: element {i} is {got[i]:R}, expected {want[i]:R} (largest expected {largest:R}).");
        }
    }
}
