using System.Text.Json;

namespace AttentionGpu.Cli.Tests;

public class BenchCommandTests
{
    private static readonly string[] _figures = ["milliseconds", "gflops", "gigabytesPerSecond"];
    private static readonly string[] _shares = ["peakShare", "bandwidthShare"];

    [Theory]
    [InlineData(4.0 * 2 * 16 * 16 * 8, "--op", "sdpa", "--shape", "1,2,16,8")]
    [InlineData(4.0 * 2 * (16 * 17 / 2) * 8, "--shape", "1,2,16,8", "--causal", "--threads", "1")]
    [InlineData(4.0 * 4 * 40 * 8, "--shape", "1,4,1,8", "--kv-heads", "2", "--kv-length", "40", "--causal")]
    [InlineData((8.0 * 2 * 16 * 32 * 32) + (4.0 * 2 * 16 * 16 * 32), "--op", "mha", "--shape", "2,16,32,4")]
    [InlineData(2.0 * 9 * 7 * 5, "--op", "linear", "--shape", "9,7,5")]
    public void Figures_are_those_of_the_operation(double operations, params string[] arguments)
    {
        using JsonDocument document = JsonDocument.Parse(Cli.Succeed(["bench", "--device", "simd", "--json", .. arguments]));
        JsonElement root = document.RootElement;
        Assert.All([.. _figures, .. _shares], name => Assert.True(root.GetProperty(name).GetDouble() > 0, name));
        Assert.Equal(operations / 1e6, root.GetProperty("gflops").GetDouble() * root.GetProperty("milliseconds").GetDouble(), operations / 1e12);
    }

    [Fact]
    public void Shares_are_for_the_device_that_they_are_measured_on()
    {
        using JsonDocument document = JsonDocument.Parse(Cli.Succeed("bench", "--device", "reference", "--shape", "1,1,4,4", "--json"));
        Assert.All(_figures, name => Assert.True(document.RootElement.GetProperty(name).GetDouble() > 0, name));
        Assert.All(_shares, name => Assert.False(document.RootElement.TryGetProperty(name, out _), name));
    }

    [Fact]
    public void The_table_has_the_figures()
    {
        string table = Cli.Succeed("bench", "--device", "simd", "--op", "linear", "--shape", "64,64,64");
        Assert.Contains("GFLOP/s", table, StringComparison.Ordinal);
        Assert.Contains("GB/s", table, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--shape", "1,2,16")]
    [InlineData("--shape", "1,2,16,0")]
    [InlineData("--shape", "1,2,x,8")]
    [InlineData("--op", "conv", "--shape", "1,2,16,8")]
    [InlineData("--op", "linear", "--shape", "1,2,16,8")]
    [InlineData("--op", "linear", "--shape", "2,2,2", "--causal")]
    [InlineData("--op", "mha", "--shape", "1,8,16,2", "--kv-length", "9")]
    [InlineData("--op", "mha", "--shape", "1,8,16,3")]
    [InlineData("--shape", "1,4,16,8", "--kv-heads", "3")]
    [InlineData("--shape", "1,4,16,8", "--kv-length", "0")]
    [InlineData("--shape", "1,4,16,8", "--threads", "0")]
    [InlineData("--shape", "1,4,16,8", "--device", "nope")]
    public void Bad_arguments_are_one_line_and_exit_code_2(params string[] arguments) => Cli.Fail(2, ["bench", .. arguments]);
}
