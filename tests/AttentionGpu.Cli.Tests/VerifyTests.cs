using AttentionGpu.Cli.Verify;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

public class VerifyTests
{
    private static string ConformanceFolder =>
        Environment.GetEnvironmentVariable("ATTENTION_CONFORMANCE_DIR") is { Length: > 0 } folder
            ? Path.Combine(folder, "onnx-attention")
            : Repository.PathOf("..", "shared", "conformance", "onnx-attention");

    [Theory]
    [MemberData(nameof(Engines.All), MemberType = typeof(Engines))]
    public void Published_cases_pass_as_far_as_they_are_supported(string device)
    {
        Assert.SkipUnless(Directory.Exists(ConformanceFolder), $"The published ONNX cases are not at {ConformanceFolder}.");
        VerifyOutcome[] outcomes = [.. OnnxCases.Load(ConformanceFolder).Select(one => one.Run(Engines.Get(device)))];
        Assert.DoesNotContain(outcomes, outcome => outcome.Status == VerifyStatus.Failed);
        Assert.Equal((87, 36), (outcomes.Length, outcomes.Count(outcome => outcome.Status == VerifyStatus.Passed)));
    }

    [Fact]
    public void A_wrong_result_fails()
    {
        Assert.Equal(VerifyStatus.Passed, Compare([1f, 2f], [1f, 2.00001f]));
        Assert.Equal(VerifyStatus.Failed, Compare([1f, 2f], [1f, 2.0001f]));
        Assert.Equal(VerifyStatus.Failed, Compare([1f, float.NaN], [1f, 2f]));
        Assert.Equal(VerifyStatus.Failed, Compare([1f, 2f], [1f, float.NaN]));
        Assert.Equal(VerifyStatus.Failed, Compare([1f], [1f, 2f]));
        Assert.Equal(VerifyStatus.Failed, Compare([0f, float.PositiveInfinity], [0f, 1f]));
        Assert.Equal(VerifyStatus.Passed, Compare([0f, 0f], [0f, 0f]));
        Assert.Equal(VerifyStatus.Failed, Compare([0f, 1e-30f], [0f, 0f]));

        static VerifyStatus Compare(float[] actual, float[] expected) => VerifyOutcome.Compare("case", actual, expected, 0.0).Status;
    }
}
