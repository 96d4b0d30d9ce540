using System.Text.Json;
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

    [Fact]
    public void Nodes_that_say_more_than_is_known_are_skipped()
    {
        var attributes = new Dictionary<string, JsonElement> { ["scale"] = JsonElement.Parse("0.5") };
        var node = new OnnxNode("node", 23, attributes, ["Q", "K", "V"], ["Y"]);
        Assert.Null(node.Unsupported);
        Assert.Contains("bias", (node with { Inputs = ["Q", "K", "V", "bias"] }).Unsupported, StringComparison.Ordinal);
        attributes.Add("dropout", JsonElement.Parse("1"));
        Assert.Contains("dropout", node.Unsupported, StringComparison.Ordinal);
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
        Assert.Equal(VerifyStatus.Passed, Compare([float.NegativeInfinity, 1f], [float.NegativeInfinity, 1f]));
        Assert.Equal(VerifyStatus.Failed, Compare([float.NegativeInfinity, 1f], [float.PositiveInfinity, 1f]));
        Assert.Equal(VerifyStatus.Failed, Compare([3f, 1f], [float.NegativeInfinity, 1f]));

        static VerifyStatus Compare(float[] actual, float[] expected) => VerifyOutcome.Compare("case", actual, expected, 0.0).Status;
    }
}
