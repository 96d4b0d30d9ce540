using System.Globalization;
using AttentionGpu.Cli.Output;
using Spectre.Console;

namespace AttentionGpu.Cli.Bench;

/// <summary>Prints the figures of <c>attention bench</c>.</summary>
internal static class BenchReport
{
    /// <param name="device">Where it ran.</param>
    /// <param name="operation">The option's value.</param>
    /// <param name="shape">The option's value.</param>
    /// <param name="figures">The figures.</param>
    /// <param name="json">Whether to print JSON.</param>
    /// <param name="decode">What else there is to tell of steps of decoding.</param>
    public static void Print(
        DeviceInfo device, string operation, string shape, BenchFigures figures, bool json, DecodeFigures? decode = null)
    {
        if (json)
        {
            Json.Print(new
            {
                device = device.Name,
                op = operation,
                shape,
                milliseconds = figures.Seconds * 1e3,
                gflops = figures.Speed / 1e9,
                peakShare = figures.PeakShare,
                gigabytesPerSecond = figures.Rate / 1e9,
                bandwidthShare = figures.BandwidthShare,
                peakGflops = figures.Peak / 1e9,
                peakGigabytesPerSecond = figures.Bandwidth / 1e9,
                tokensPerSecond = decode?.TokensPerSecond,
                sets = decode?.Sets,
                cacheGigabytes = decode?.CacheBytes / 1e9,
                reader = decode?.Reader,
            }, Screen.Output);
            return;
        }

        CultureInfo culture = CultureInfo.InvariantCulture;
        Table table = new Table().HideHeaders().AddColumns("", "");
        table.AddRow("device", Screen.Cell($"{device.Name} ({device.Description})"));
        table.AddRow("time", string.Create(culture, $"{figures.Seconds * 1e3:F3} ms"));
        table.AddRow("speed", string.Create(culture, $"{figures.Speed / 1e9:F1} GFLOP/s") + Share(figures.PeakShare));
        table.AddRow("memory", string.Create(culture, $"{figures.Rate / 1e9:F1} GB/s") + Share(figures.BandwidthShare));
        if (decode is not null)
        {
            table.AddRow("tokens", string.Create(culture, $"{decode.TokensPerSecond:F1} a second"));
            table.AddRow("cache", string.Create(culture, $"{decode.CacheBytes / 1e9:F2} GB: {decode.Sets} sets of sequences in turn"));
            if (decode.Reader is not null)
                table.AddRow("plain reading", Screen.Cell(decode.Reader));
        }

        Screen.Output.Table(table);
    }

    private static string Share(double? share) =>
        share is null ? "" : string.Create(CultureInfo.InvariantCulture, $", {share:P0} of what the machine did with nothing else");
}
