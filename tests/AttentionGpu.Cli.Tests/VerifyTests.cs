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
    public void Caches_of_every_kind_and_element_type_are_verified_with_values_of_their_own_and_in_the_keys() => Assert.Equal(
        from kind in (string[])["contiguous", "paged", "window"]
        from values in (string[])["", ", values in keys"]
        from element in (string[])["float32", "float16", "bfloat16", "int8", "int4", "float8e4m3"]
        select $"cache, {kind}, {element}{values}",
        BuiltInCaches.All.Select(one => one.Name));

    [Fact]
    public void Cases_of_16_bits_pass_on_the_texts_of_tensor_cores()
    {
        Assert.SkipUnless(Engines.All.Contains("ilgpu-cpu"), "The texts run on the emulator's memory.");
        VerifyOutcome[] outcomes = [.. BuiltInHalves.All.Select(one => one.Run(Engines.Get("ilgpu-cpu tensor cores")))];
        Assert.All(outcomes, outcome => Assert.True(outcome.Status == VerifyStatus.Passed, $"{outcome.Name}: {outcome.Status}, {outcome.Error}, {outcome.Note}"));
    }
}
