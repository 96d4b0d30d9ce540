using System.Text.Json;

namespace AttentionGpu.Cli.Tests;

public class BenchCommandTests
{
    private static readonly string[] _figures = ["milliseconds", "gflops", "gigabytesPerSecond"];
    private static readonly string[] _shares = ["peakShare", "bandwidthShare"];

    [Theory]
    [InlineData(4.0 * 2 * 16 * 16 * 8, 4.0 * 4 * 2 * 16 * 8, "--op", "sdpa", "--shape", "1,2,16,8")]
    [InlineData(4.0 * 2 * (16 * 17 / 2) * 8, 4.0 * 4 * 2 * 16 * 8, "--shape", "1,2,16,8", "--causal", "--threads", "1")]
    [InlineData(
        4.0 * 4 * 40 * 8, 4.0 * ((2 * 4 * 8) + (2 * 2 * 40 * 8)), "--shape", "1,4,1,8", "--kv-heads", "2", "--kv-length", "40", "--causal")]
    [InlineData(
        (8.0 * 2 * 16 * 32 * 32) + (4.0 * 2 * 16 * 16 * 32), 4.0 * ((4 * 32 * 32) + (3 * 2 * 16 * 32)),
        "--op", "mha", "--shape", "2,16,32,4")]
    [InlineData(2.0 * 9 * 7 * 5, 4.0 * ((9 * 7) + (9 * 5) + (7 * 5)), "--op", "linear", "--shape", "9,7,5")]
    public void Figures_are_those_of_the_operation(double operations, double bytes, params string[] arguments)
    {
        JsonElement root = JsonElement.Parse(Cli.Succeed(["bench", "--device", "simd", "--json", .. arguments]));
        double Figure(string name) => root.GetProperty(name).GetDouble();
        Assert.All([.. _figures, .. _shares], name => Assert.True(Figure(name) > 0, name));
        Assert.Equal(operations / 1e6, Figure("gflops") * Figure("milliseconds"), operations / 1e12);
        Assert.Equal(bytes / 1e6, Figure("gigabytesPerSecond") * Figure("milliseconds"), bytes / 1e12);
        Assert.Equal(Figure("gflops") / Figure("peakGflops"), Figure("peakShare"), Figure("peakShare") / 1e9);
        Assert.Equal(
            Figure("gigabytesPerSecond") / Figure("peakGigabytesPerSecond"), Figure("bandwidthShare"), Figure("bandwidthShare") / 1e9);
    }

    // 3 sequences of 9 rows and a new one; 2 key/value heads of 40 elements, with scales: a float32, or a float16 for each 32.
    [Theory]
    [InlineData(10, 2 * 2 * 160)]
    [InlineData(10, 2 * 2 * 80, "--cache-type", "float16", "--cache", "paged", "--page-size", "16")]
    [InlineData(10, 2 * 2 * 80, "--cache-type", "bfloat16", "--cache", "paged")]
    [InlineData(10, 2 * 2 * 44, "--cache-type", "int8")]
    [InlineData(10, 2 * 2 * 44, "--cache-type", "float8", "--steps", "3")]
    [InlineData(4, 2 * 2 * 24, "--cache-type", "int4", "--cache", "window", "--window", "4")]
    public void Figures_of_decoding_are_those_of_the_visible_rows_and_the_new_ones(int visible, int rowBytes, params string[] arguments)
    {
        CliResult result = InProcess.Run([
            "bench", "--device", "simd", "--json", "--op", "decode", "--shape", "3,4,9,40", "--kv-heads", "2", .. arguments,
        ]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        JsonElement root = JsonElement.Parse(result.Output);
        double Figure(string name) => root.GetProperty(name).GetDouble();
        double bytes = (3.0 * (visible + 1) * rowBytes) + (3 * 4 * 40 * (4 + 2 + 2 + 4));
        Assert.Equal(4.0 * 3 * 4 * 40 * visible / 1e6, Figure("gflops") * Figure("milliseconds"), 1e-9);
        Assert.Equal(bytes / 1e6, Figure("gigabytesPerSecond") * Figure("milliseconds"), 1e-9);
        Assert.Equal(3e3, Figure("tokensPerSecond") * Figure("milliseconds"), 1e-6);
        Assert.True(Figure("cacheGigabytes") * 1e9 >= Figure("sets") * 3 * visible * rowBytes);
        Assert.Equal(4096 / 3, Figure("sets"));
        Assert.All(_shares, name => Assert.True(Figure(name) > 0, name));
        Assert.StartsWith("pieces of ", root.GetProperty("reader").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Only_the_processor_by_vectors_has_shares()
    {
        CliResult result = InProcess.Run("bench", "--device", "reference", "--shape", "1,1,4,4");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Matches(@"│ device +│ reference ", result.Output);
        Assert.Matches(@"│ speed +│ [0-9.]+ GFLOP/s +│", result.Output);
        Assert.Matches(@"│ memory +│ [0-9.]+ GB/s +│", result.Output);
    }

    [Theory]
    [InlineData("--shape", "1,2,16")]
    [InlineData("--shape", "1,2,16,8,1")]
    [InlineData("--shape", "1,2,16,0")]
    [InlineData("--shape", "1,2,-16,8")]
    [InlineData("--shape", "1,2,x,8")]
    [InlineData("--shape", "")]
    [InlineData("--op", "sdpa")]
    [InlineData("--op", "conv", "--shape", "1,2,16,8")]
    [InlineData("--op", "linear", "--shape", "1,2,16,8")]
    [InlineData("--op", "linear", "--shape", "2,2,2", "--causal")]
    [InlineData("--op", "linear", "--shape", "2,2,2", "--kv-heads", "1")]
    [InlineData("--op", "linear", "--shape", "2,2,2", "--kv-length", "1")]
    [InlineData("--op", "mha", "--shape", "1,8,16,2", "--kv-length", "9")]
    [InlineData("--op", "mha", "--shape", "1,8,16,3")]
    [InlineData("--op", "mha", "--shape", "1,8,16,4", "--kv-heads", "3")]
    [InlineData("--shape", "1,4,16,8", "--kv-heads", "3")]
    [InlineData("--shape", "1,4,16,8", "--kv-heads", "0")]
    [InlineData("--shape", "1,4,16,8", "--kv-length", "0")]
    [InlineData("--shape", "1,4,16,8", "--threads", "0")]
    [InlineData("--shape", "1,4,16,8", "--device", "nope")]
    [InlineData("--op", "decode", "--shape", "1,4,16")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--causal")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--kv-length", "4")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--kv-heads", "3")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--cache-type", "int2")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--cache", "ring")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--window", "4")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--cache", "window")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--cache", "window", "--window", "0")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--page-size", "64")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--cache", "paged", "--page-size", "48")]
    [InlineData("--op", "decode", "--shape", "1,4,16,8", "--steps", "0")]
    [InlineData("--shape", "1,4,16,8", "--cache", "paged")]
    [InlineData("--shape", "1,4,16,8", "--steps", "2")]
    public void Bad_arguments_are_one_line_and_exit_code_2(params string[] arguments) => InProcess.Fail(2, ["bench", .. arguments]);

    [Theory]
    [InlineData("--shape is '1,1,2147483647,9': the queries [1, 1, 2147483647, 9] would", "--shape", "1,1,2147483647,9")]
    [InlineData("[2147483647, 2147483647, 2147483647, 1] would", "--shape", "2147483647,2147483647,2147483647,1")]
    [InlineData("--shape is '1,1,1,64': the keys [1, 1, 2147483647, 64] would", "--shape", "1,1,1,64", "--kv-length", "2147483647")]
    [InlineData("--shape is '1,1,1000000,1': a weight [1000000, 1000000] would", "--op", "mha", "--shape", "1,1,1000000,1")]
    [InlineData("--shape is '100000,1,100000': the input [100000, 100000] would", "--op", "linear", "--shape", "100000,1,100000")]
    [InlineData("--shape is '100000,100000,1': the output [100000, 100000] would", "--op", "linear", "--shape", "100000,100000,1")]
    [InlineData("--shape is '1,8,16,3': 3 must", "--op", "mha", "--shape", "1,8,16,3")]
    [InlineData("--kv-heads: 3 must", "--op", "mha", "--shape", "1,8,16,4", "--kv-heads", "3")]
    [InlineData("--kv-heads: 0 must", "--shape", "1,4,16,8", "--kv-heads", "0")]
    public void A_size_that_cannot_be_is_refused_by_its_option(string message, params string[] arguments) =>
        Assert.Contains(message, InProcess.Fail(2, ["bench", "--device", "reference", .. arguments]), StringComparison.Ordinal);
}
