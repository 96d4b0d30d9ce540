using System.Text.Json;
using AttentionGpu.Cli.Verify;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

public class CommandTests
{
    private static readonly byte[] _pngSignature = [0x89, (byte)'P', (byte)'N', (byte)'G'];

    [Fact]
    public void Devices_lists_all_and_says_what_auto_takes()
    {
        using JsonDocument document = JsonDocument.Parse(Cli.Succeed("devices", "--json"));
        string[] names = [.. document.RootElement.GetProperty("devices").EnumerateArray().Select(device => device.GetProperty("name").GetString()!)];
        Assert.Equal(AttentionEngine.ListDevices().Select(device => device.Name), names);
        string auto = document.RootElement.GetProperty("auto").GetString()!;
        Assert.Contains(auto, names);
        string table = Cli.Succeed("devices");
        Assert.All(names, name => Assert.Contains(name, table, StringComparison.Ordinal));
        Assert.Contains($"auto takes {auto}: ", table, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData]
    [InlineData("verify", "--device", "nope")]
    public void Bad_arguments_are_one_line_and_exit_code_2(params string[] arguments) => Cli.Fail(2, arguments);

    [Theory]
    [InlineData("--help")]
    [InlineData("run", "--help")]
    [InlineData("--version")]
    public void Help_is_no_error(params string[] arguments) => Assert.NotEmpty(Cli.Succeed(arguments));

    [Theory]
    [EveryDevice]
    public void Verify_passes(string device)
    {
        string[] lines = Cli.Succeed("verify", "--device", device).TrimEnd('\n').Split('\n');
        bool hasHalves = Engines.Get(device).Device.Kind is not (DeviceKind.IlgpuCpu or DeviceKind.OpenCL);
        Assert.Matches($"^[1-9][0-9]{{2}} passed, 0 failed, {(hasHalves ? 0 : BuiltInHalves.All.Count)} skipped$", lines[^1]);
    }

    [Fact]
    public void Demo_shows_words_and_says_what_its_weights_are()
    {
        using var folder = new TemporaryFolder();
        string output = Cli.Succeed("demo", "--out", folder["maps"]);
        Assert.Contains("random, seed 1", output, StringComparison.Ordinal);
        Assert.Contains("street", output, StringComparison.Ordinal);
        string[] pictures = Directory.GetFiles(folder["maps"], "*.png");
        Assert.Equal(3 * 4, pictures.Length);
        Assert.All(pictures, picture => Assert.Equal(_pngSignature, File.ReadAllBytes(picture)[..4]));
    }

    [Fact]
    public void Demo_weights_are_distributions_over_the_words_of_a_text()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["text.txt"], "One two three.\n\nSix seven.\n");
        string json = Cli.Succeed("demo", "--text", folder["text.txt"], "--heads", "2", "--causal", "--json", "--device", "reference");
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement[] sentences = [.. document.RootElement.GetProperty("sentences").EnumerateArray()];
        Assert.Equal(["One two three.", "Six seven."], sentences.Select(sentence => sentence.GetProperty("text").GetString()));
        foreach (JsonElement sentence in sentences)
        {
            int words = sentence.GetProperty("words").GetArrayLength();
            Assert.Equal(2, sentence.GetProperty("heads").GetArrayLength());
            foreach (JsonElement head in sentence.GetProperty("heads").EnumerateArray())
            {
                double[][] rows = [.. head.EnumerateArray().Select(row => row.EnumerateArray().Select(weight => weight.GetDouble()).ToArray())];
                Assert.Equal(words, rows.Length);
                for (int query = 0; query < words; query++)
                {
                    Assert.Equal(words, rows[query].Length);
                    Assert.Equal(1.0, rows[query].Sum(), 1e-5);
                    Assert.All(rows[query][(query + 1)..], weight => Assert.Equal(0.0, weight));
                }
            }
        }
    }
}
