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
    [EveryDevice]
    public void All_published_cases_pass(string device)
    {
        Assert.SkipUnless(Directory.Exists(ConformanceFolder), $"The published ONNX cases are not at {ConformanceFolder}.");
        VerifyOutcome[] outcomes = [.. OnnxCases.Load(ConformanceFolder).Select(one => one.Run(Engines.Get(device)))];
        Assert.All(outcomes, outcome => Assert.True(outcome.Status == VerifyStatus.Passed, $"{outcome.Name}: {outcome.Status}, {outcome.Error}, {outcome.Note}"));
        Assert.Equal(87, outcomes.Length);
    }
}
