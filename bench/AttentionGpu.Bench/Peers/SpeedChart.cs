using ScottPlot;

namespace AttentionGpu.Bench.Peers;

/// <summary>A library's speed at one length, in GFLOP/s.</summary>
internal sealed record SpeedPoint(string Library, bool IsCausal, int HeadSize, int Batch, int Length, double Speed)
{
    public const string Ours = "AttentionGpu";

    /// <summary>Ours and the peers' at a shape of [batch, heads, length, head size].</summary>
    public static IEnumerable<SpeedPoint> Of(int[] shape, Figures figures, bool isCausal) =>
        figures.PeerSeconds.Prepend(KeyValuePair.Create(Ours, figures.Seconds))
            .Select(one => new SpeedPoint(one.Key, isCausal, shape[3], shape[0], shape[2], figures.SpeedIn(one.Value)));
}

/// <summary>GFLOP/s over length, ours and the peers'.</summary>
internal static class SpeedChart
{
    private const int Width = 900;
    private const int Height = 560;
    private const int HeadSize = 64;

    private static readonly Color[] _colors = [Colors.Blue, Colors.Orange, Colors.Green];

    /// <summary>Writes a PNG of the points of one batch entry and head size 64.</summary>
    public static void Save(string path, IEnumerable<SpeedPoint> points)
    {
        SpeedPoint[] shown = [.. points.Where(point => point is { HeadSize: HeadSize, Batch: 1 }).OrderBy(point => point.Length)];
        using var plot = new Plot();
        foreach ((int index, IGrouping<string, SpeedPoint> library) in shown.GroupBy(point => point.Library).Index())
        {
            Add(plot, library.Key, library.Where(point => !point.IsCausal), _colors[index], LinePattern.Solid);
            Add(plot, $"{library.Key}, causal", library.Where(point => point.IsCausal), _colors[index], LinePattern.Dashed);
        }

        int[] lengths = [.. shown.Select(point => point.Length).Distinct()];
        plot.Title($"Attention, head size {HeadSize}, float32");
        plot.XLabel("length");
        plot.YLabel("GFLOP/s");
        plot.Axes.Bottom.SetTicks([.. lengths.Select(length => Math.Log2(length))], [.. lengths.Select(length => $"{length}")]);
        plot.Axes.SetLimitsY(0, shown.Max(point => point.Speed) * 1.3);
        plot.ShowLegend(Alignment.UpperLeft, Orientation.Horizontal);
        plot.SavePng(path, Width, Height);
    }

    private static void Add(Plot plot, string name, IEnumerable<SpeedPoint> points, Color color, LinePattern pattern)
    {
        ScottPlot.Plottables.Scatter line = plot.Add.Scatter(
            points.Select(point => Math.Log2(point.Length)).ToArray(), points.Select(point => point.Speed).ToArray(), color);
        line.LegendText = name;
        line.LinePattern = pattern;
        line.LineWidth = 2;
    }
}
