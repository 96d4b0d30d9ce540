using System.Text.Json;
using AttentionGpu.Cli.Bench;

namespace AttentionGpu.Cli.Tests;

/// <summary>The figures of <c>attention bench</c>, from known operations, bytes and times.</summary>
public class BenchFiguresTests
{
    // 6 GFLOP and 3 GB in 2 s: 3 GFLOP/s and 1.5 GB/s. The machine: 12 GFLOP in 1 s, 20 GB in 4 s: 12 GFLOP/s and 5 GB/s.
    private static readonly BenchProblem _problem = new(() => { }, 6e9, 3e9);
    private static readonly BenchFigures _figures = BenchFigures.Of(_problem, [2.0, 1.0, 4.0], peakOperations: 12e9, readBytes: 20e9);
    private static readonly DeviceInfo _device = AttentionEngine.SelectDevice("simd").Device;

    [Fact]
    public void Shares_are_speed_over_peak_and_rate_over_bandwidth()
    {
        Assert.Equal((2.0, 3e9, 1.5e9), (_figures.Seconds, _figures.Speed, _figures.Rate));
        Assert.Equal((12e9, 5e9), (_figures.Peak, _figures.Bandwidth));
        Assert.Equal((0.25, 0.3), (_figures.PeakShare, _figures.BandwidthShare));
    }

    [Fact]
    public void The_JSON_has_each_figure_in_the_unit_of_its_name()
    {
        JsonElement root = JsonElement.Parse(Print(_figures, json: true));
        Assert.Equal(
            [
                ("device", "\"simd\""), ("op", "\"linear\""), ("shape", "\"1,2,3\""), ("milliseconds", "2000"),
                ("gflops", "3"), ("peakShare", "0.25"), ("gigabytesPerSecond", "1.5"), ("bandwidthShare", "0.3"),
                ("peakGflops", "12"), ("peakGigabytesPerSecond", "5"),
            ],
            root.EnumerateObject().Select(property => (property.Name, property.Value.GetRawText())));
    }

    [Fact]
    public void Without_a_measured_machine_there_are_no_shares()
    {
        BenchFigures figures = BenchFigures.Of(_problem, 2.0);
        Assert.Equal((null, null, null, null), (figures.Peak, figures.Bandwidth, figures.PeakShare, figures.BandwidthShare));
        Assert.Equal(
            ["device", "op", "shape", "milliseconds", "gflops", "gigabytesPerSecond"],
            JsonElement.Parse(Print(figures, json: true)).EnumerateObject().Select(property => property.Name));
        Assert.DoesNotContain("%", Print(figures, json: false), StringComparison.Ordinal);
    }

    [Fact]
    public void The_table_has_the_same_figures()
    {
        string table = Print(_figures, json: false);
        Assert.Matches(@"│ device +│ simd \(", table);
        Assert.Matches(@"│ time +│ 2000\.000 ms ", table);
        Assert.Matches(@"│ speed +│ 3\.0 GFLOP/s, 25 ?% of what the machine did with nothing else ", table);
        Assert.Matches(@"│ memory +│ 1\.5 GB/s, 30 ?% of what the machine did with nothing else ", table);
    }

    [Fact]
    public void The_sizes_of_a_shape_are_whole_numbers_of_at_least_1()
    {
        Assert.Equal([3, 1, 20], BenchShape.Parse("3,1,20", "rows,output size,input size"));
        foreach (string shape in new[] { "3,1", "3,1,2,4", "3,0,2", "3,-1,2", "3,1.5,2", "3,x,2", "3,,2", "3, 1,2", "3,1,99999999999", "" })
        {
            ArgumentException exception = Assert.Throws<ArgumentException>(() => BenchShape.Parse(shape, "rows,output size,input size"));
            string start = $"--shape is '{shape}'; it must be rows,output size,input size: ";
            Assert.StartsWith(start, exception.Message, StringComparison.Ordinal);
        }
    }

    private static string Print(BenchFigures figures, bool json)
    {
        CliResult result = InProcess.Capture(() =>
        {
            BenchReport.Print(_device, "linear", "1,2,3", figures, json);
            return 0;
        });
        Assert.Equal("", result.Error);
        return result.Output;
    }
}
