using ScottPlot;

namespace AttentionGpu.Bench.Peers;

/// <summary>The speeds at one length, in GFLOP/s.</summary>
internal sealed record SpeedPoint(
    int HeadSize, int Batch, int Length, double Ours, double Peer, double OursCausal, double PeerCausal);

/// <summary>GFLOP/s over length, ours and the peer's.</summary>
internal static class SpeedChart
{
    private const int Width = 900;
    private const int Height = 560;
    private const int HeadSize = 64;

    /// <summary>Writes a PNG of the points of one batch entry and head size 64.</summary>
    public static void Save(string path, IEnumerable<SpeedPoint> points)
    {
        SpeedPoint[] shown = [.. points.Where(point => point is { HeadSize: HeadSize, Batch: 1 }).OrderBy(point => point.Length)];
        double[] lengths = [.. shown.Select(point => Math.Log2(point.Length))];
        using var plot = new Plot();
        Add(plot, "AttentionGpu", lengths, [.. shown.Select(point => point.Ours)], Colors.Blue, LinePattern.Solid);
        Add(plot, "AttentionGpu, causal", lengths, [.. shown.Select(point => point.OursCausal)], Colors.Blue, LinePattern.Dashed);
        Add(plot, "ONNX Runtime", lengths, [.. shown.Select(point => point.Peer)], Colors.Orange, LinePattern.Solid);
        Add(plot, "ONNX Runtime, causal", lengths, [.. shown.Select(point => point.PeerCausal)], Colors.Orange, LinePattern.Dashed);
        plot.Title($"Attention, head size {HeadSize}, float32");
        plot.XLabel("length");
        plot.YLabel("GFLOP/s");
        plot.Axes.Bottom.SetTicks(lengths, [.. shown.Select(point => $"{point.Length}")]);
        plot.Axes.SetLimitsY(0, shown.Max(point => Math.Max(point.Ours, point.Peer)) * 1.3);
        plot.ShowLegend(Alignment.UpperLeft, Orientation.Horizontal);
        plot.SavePng(path, Width, Height);
    }

    private static void Add(Plot plot, string name, double[] lengths, double[] speeds, Color color, LinePattern pattern)
    {
        ScottPlot.Plottables.Scatter line = plot.Add.Scatter(lengths, speeds, color);
        line.LegendText = name;
        line.LinePattern = pattern;
        line.LineWidth = 2;
    }
}
