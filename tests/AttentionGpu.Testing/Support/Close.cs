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

    /// <summary>The same of elements without a shape. The message says how many are wrong, and gives the first and the last.</summary>
    public static void Assert(float[] want, float[] got, string context, double tolerance = Tolerance, double smallest = SmallestNormal)
    {
        Xunit.Assert.Equal(want.Length, got.Length);
        double largest = want.Where(float.IsFinite).Select(value => Math.Abs((double)value)).DefaultIfEmpty(0.0).Max();
        double limit = Math.Max(tolerance * largest, smallest);
        int[] wrong = [.. Enumerable.Range(0, want.Length).Where(i => !IsClose(want[i], got[i], limit))];
        if (wrong.Length == 0)
            return;
        string Differs(int i) => $"element {i} is {got[i]:R}, expected {want[i]:R}";
        Xunit.Assert.Fail(
            $"{context}: {Differs(wrong[0])} (largest expected {largest:R}); {wrong.Length} of {want.Length} are wrong, the "
            + $"last: {Differs(wrong[^1])}.");
    }

    private static bool IsClose(float want, float got, double limit) =>
        float.IsNaN(want) ? float.IsNaN(got) : want == got || Math.Abs((double)want - got) <= limit;
}
