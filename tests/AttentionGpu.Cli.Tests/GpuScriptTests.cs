using System.Diagnostics;

namespace AttentionGpu.Cli.Tests;

/// <summary>What <c>bench/gpu</c> does without a device: the table that it makes of its logs.</summary>
public sealed class GpuScriptTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_table_has_medians_spreads_and_ratios_of_all_runs()
    {
        Write("old.commit", "1234567\n");
        Write("old-1.md", Rows(("one query", 400), ("linear, float32", 90)));
        Write("old-2.md", Rows(("one query", 600), ("linear, float32", 100)));
        Write("old-3.md", Rows(("one query", 500), ("linear, float32", 1000)));
        Write("new-1.md", Rows(("one query", 250), ("linear, float32", 200), ("new kernel", 7)));
        Write("new-2.md", Rows(("one query", 90), ("linear, float32", 200), ("new kernel", 9)));
        Write("new-3.md", Rows(("one query", 1000), ("linear, float32", 200), ("new kernel", 8)));
        Write("torch.md", "PyTorch on a device:\n\n"
            + "| kernel | problem | microseconds | GFLOP/s |\n|---|---|---|---|\n| one query | sizes | 125 | 1.0 |\n");

        string[] lines = (await TableAsync()).TrimEnd().Split('\n');
        Assert.Equal(
            [
                "| kernel | problem | 1234567, us | now, us | ratio | PyTorch, us | ratio |",
                "|---|---|---|---|---|---|---|",
                "| one query | sizes | 500 (400 to 600) | 250 (90 to 1000) | 2.00 | 125 | 0.50 |",
                "| linear, float32 | sizes | 100 (90 to 1000) | 200 (200 to 200) | 0.50 | - | - |",
                "| new kernel | sizes | - | 8 (7 to 9) | - | - | - |",
                "",
            ],
            lines[..^1]);
        Assert.StartsWith("Runs of 1234567 and of now in turn: 3 and 3.", lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_parts_of_a_run_that_was_cut_off_make_a_table()
    {
        Write("old-1.md", Rows(("one query", 400), ("linear, float32", 90)));
        Write("new-1.md", Rows(("one query", 100)) + "new kernels failed: no memory\n");
        string table = await TableAsync();
        Assert.Contains("| one query | sizes | 400 | 100 | 4.00 | - | - |", table, StringComparison.Ordinal);
        Assert.Contains("| linear, float32 | sizes | 90 | - | - | - | - |", table, StringComparison.Ordinal);
        Assert.Contains("in turn: 1 and 1.", table, StringComparison.Ordinal);
    }

    private static string Rows(params (string Kernel, int Microseconds)[] rows) =>
        "| kernel | problem | microseconds | GFLOP/s | GB/s |\n|---|---|---|---|---|\n"
        + string.Concat(rows.Select(row => $"| {row.Kernel} | sizes | {row.Microseconds} | 2.5 | 0.5 |\n"));

    private void Write(string name, string text) => File.WriteAllText(_folder[name], text);

    private async Task<string> TableAsync()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "bench/gpu is for Linux.");
        using var process = Process.Start(new ProcessStartInfo("bash", [Repository.PathOf("bench", "gpu"), "--table", _folder[""]])
        {
            RedirectStandardOutput = true,
        })!;
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, process.ExitCode);
        return output;
    }
}
