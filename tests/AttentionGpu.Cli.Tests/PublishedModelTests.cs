using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Layers;
using AttentionGpu.Tests.Models;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

/// <summary>Every published architecture by the command line, against the definition of attention.</summary>
public sealed class PublishedModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Names => [.. PublishedModels.All.Keys];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Names))]
    public void Inspect_and_run_agree_with_the_definition(string name)
    {
        PublishedModel published = PublishedModels.All[name];
        LayerCall call = published.Call(Environment.TickCount, length: 9);
        Write("x.safetensors", call.Query);
        if (call.Key is not null)
            Write("c.safetensors", call.Key);
        Tensor<float> expected = LayerDefinition.Run(call).Output;
        foreach (string type in published.Types)
        {
            published.Write(_folder[""], type, call.Weights);
            Assert.Contains(published.Prefix[..^1], Succeed("inspect", _folder[""], "--json"), StringComparison.Ordinal);
            string[] layer =
            [
                "--layer", $"{published.Index}", "--stack", published.Stack.ToString().ToLowerInvariant(),
                .. published.IsCross ? (string[])["--cross"] : [],
            ];
            string[] context = call.Key is null ? [] : ["--context", _folder["c.safetensors"]];
            Succeed(
            [
                "run", "--model", _folder[""], .. layer, .. context, "--type", "float32", "--device", "simd",
                "--input", _folder["x.safetensors"], "--output", _folder["y.safetensors"],
            ]);
            using var file = SafetensorsFile.Open(_folder["y.safetensors"]);
            Close.Assert(expected, file.Read("y"), $"{name}, {type}, {call}");
        }
    }

    private static string Succeed(params string[] arguments)
    {
        CliResult result = InProcess.Run(arguments);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return result.Output;
    }

    private void Write(string file, Tensor<float> tensor) =>
        SafetensorsFile.Write(_folder[file], new Dictionary<string, Tensor<float>> { ["x"] = tensor });
}
