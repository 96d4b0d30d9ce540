using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>All outputs of a problem, as floats, with the axes of <see cref="VariantCase"/>; null for what was not asked for.</summary>
internal sealed record VariantResult(
    Tensor<float> Output, Tensor<float>? Scores, Tensor<float>? LogSumExp, Tensor<float>? PresentKey, Tensor<float>? PresentValue)
{
    /// <summary>Fails unless the other result is the same within the element type's tolerance.</summary>
    public void AssertClose(VariantResult actual, ElementForm element, string context)
    {
        double tolerance = element switch
        {
            ElementForm.F32 => 1e-5,
            ElementForm.F16 => 2e-3,
            _ => 1e-2,
        };
        Assert.DoesNotContain(Data.Flat(Output), float.IsNaN);
        Close.Assert(Output, actual.Output, "output: " + context, tolerance);
        AssertClose(Scores, actual.Scores, "scores: " + context, tolerance);
        AssertClose(LogSumExp, actual.LogSumExp, "log-sum-exp: " + context, tolerance);
        AssertClose(PresentKey, actual.PresentKey, "present key: " + context, tolerance);
        AssertClose(PresentValue, actual.PresentValue, "present value: " + context, tolerance);
    }

    private static void AssertClose(Tensor<float>? expected, Tensor<float>? actual, string context, double tolerance)
    {
        Assert.Equal(expected is null, actual is null);
        if (expected is not null)
            Close.Assert(expected, actual!, context, tolerance);
    }
}
