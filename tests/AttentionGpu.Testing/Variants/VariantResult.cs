using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>All outputs of a problem, as floats, with the axes of <see cref="VariantCase"/>; null for what was not asked for.</summary>
internal sealed record VariantResult(
    Tensor<float> Output, Tensor<float>? Scores, Tensor<float>? LogSumExp, Tensor<float>? PresentKey, Tensor<float>? PresentValue)
{
    /// <summary>Fails unless the other result is the same within the problem's tolerance.</summary>
    public void AssertClose(VariantResult actual, VariantCase problem, string context)
    {
        Assert.DoesNotContain(Data.Flat(Output), float.IsNaN);
        AssertClose(Output, actual.Output, "output", problem.LargestValue);
        AssertClose(Scores, actual.Scores, "scores", 1.0);
        AssertClose(LogSumExp, actual.LogSumExp, "log-sum-exp", 1.0);
        AssertClose(PresentKey, actual.PresentKey, "present key", 0.0);
        AssertClose(PresentValue, actual.PresentValue, "present value", 0.0);

        void AssertClose(Tensor<float>? expected, Tensor<float>? actual, string name, double largestTerm)
        {
            Assert.Equal(expected is null, actual is null);
            if (expected is not null)
                Close.Assert(expected, actual!, $"{name}: {context}", problem.Tolerance, problem.Smallest(largestTerm));
        }
    }
}
