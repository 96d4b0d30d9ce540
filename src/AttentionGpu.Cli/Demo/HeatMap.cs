using ScottPlot;

namespace AttentionGpu.Cli.Demo;

/// <summary>A picture of one head's attention weights: a row a query word, a column a key word.</summary>
internal static class HeatMap
{
    private const int CellPixels = 44;
    private const int MarginPixels = 220;

    /// <summary>Draws a PNG.</summary>
    /// <param name="title">What stands above it.</param>
    /// <param name="weights">[query, key].</param>
    /// <param name="words">The words of both axes.</param>
    public static byte[] Draw(string title, double[,] weights, string[] words)
    {
        using var plot = new Plot();
        plot.Title(title);
        ScottPlot.Plottables.Heatmap map = plot.Add.Heatmap(weights);
        map.Colormap = new ScottPlot.Colormaps.Viridis();
        map.ManualRange = new ScottPlot.Range(0, weights.Cast<double>().Max());
        plot.Add.ColorBar(map);
        double[] places = [.. Enumerable.Range(0, words.Length).Select(index => (double)index)];

        // The first row is drawn at the top.
        plot.Axes.Left.SetTicks(places, [.. words.Reverse()]);
        plot.Axes.Bottom.SetTicks(places, words);
        plot.Axes.Bottom.TickLabelStyle.Rotation = 60;
        plot.Axes.Bottom.TickLabelStyle.Alignment = Alignment.MiddleLeft;
        plot.Axes.Bottom.MinimumSize = 90;
        plot.Axes.Margins(0, 0);
        plot.XLabel("key");
        plot.YLabel("query");
        int side = (CellPixels * words.Length) + MarginPixels;
        return plot.GetImageBytes(side, side, ImageFormat.Png);
    }
}
