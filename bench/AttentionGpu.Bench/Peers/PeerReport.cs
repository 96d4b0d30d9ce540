using System.Runtime.InteropServices;
using AttentionGpu.Cli.Bench;
using AttentionGpu.Tests.Torch;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Bench.Peers;

/// <summary>
/// Ours against ONNX Runtime in one process: same inputs, same thread count, results compared before anything is timed, and runs in turn. Prints
/// tables, writes them into <c>bench/RESULTS.md</c> between two marks, and draws a chart.
/// </summary>
internal sealed class PeerReport : IDisposable
{
    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan _duration = TimeSpan.FromSeconds(3);

    // ONNX Runtime's threads spin for a while after a call; ours would share the cores with them.
    private static readonly TimeSpan _settle = TimeSpan.FromMilliseconds(50);

    private static readonly int[][] _attention =
    [
        [1, 12, 128, 64], [8, 12, 128, 64], [1, 12, 512, 64], [1, 12, 1024, 64], [1, 8, 2048, 64], [1, 8, 2048, 128],
        [1, 8, 4096, 64], [1, 16, 8192, 64], [1, 32, 512, 128],
    ];

    private static readonly int[][] _layers = [[8, 128, 768, 12], [1, 512, 768, 12], [1, 2048, 1024, 16]];
    private static readonly int[] _caches = [4096, 32768];

    private readonly AttentionEngine _engine;
    private readonly MachineLimits _limits;
    private readonly int _threads = Environment.ProcessorCount;
    private readonly ReportText _text = new();

    private PeerReport(string device)
    {
        _engine = new AttentionEngine(device);
        _limits = new MachineLimits(_threads);
    }

    /// <param name="device">The device of ours.</param>
    /// <param name="folder">The folder of RESULTS.md; null to print only.</param>
    public static void Run(string device, string? folder)
    {
        using var report = new PeerReport(device);
        List<SpeedPoint> points = report.Write();
        if (folder is null)
            return;
        SpeedChart.Save(Path.Combine(folder, "attention.png"), points);
        report._text.Save(folder, "peers");
    }

    /// <summary>Prints what variants cost, and nothing else.</summary>
    public static void RunVariants(string device)
    {
        using var report = new PeerReport(device);
        report.WriteVariants();
    }

    public void Dispose()
    {
        _limits.Dispose();
        _engine.Dispose();
    }

    private List<SpeedPoint> Write()
    {
        string version = OrtEnv.Instance().GetVersionString();
        string torch = TorchLibrary.IsAvailable ? $" and libtorch {TorchPeer.Version}" : "";
        Line($"{_engine.Device.Name} ({_engine.Device.Capability}) against ONNX Runtime {version}{torch}, {_threads} threads each, "
            + $".NET {Environment.Version}, {RuntimeInformation.OSDescription}. Medians, in turns of {_window.TotalMilliseconds} ms.");
        if (!TorchLibrary.IsAvailable)
            Line("libtorch does not load here: `tests/opencl-root` has a system where it does.");
        Line("");
        Line("Attention, GFLOP/s (4 B H S^2 D operations, half of them when causal); peak: the share of the multiply-adds of the same turns.");
        Line("");
        Row(["B,H,S,D", .. Figures.SpeedHeads("ours", withPeak: true), .. Figures.SpeedHeads("ours, causal", withPeak: false)], isHead: true);
        var points = new List<SpeedPoint>();
        foreach (int[] shape in _attention)
        {
            Figures full = Measure(Comparisons.Attention(_engine, _threads, shape[0], shape[1], shape[2], shape[3], causal: false));
            Figures causal = Measure(Comparisons.Attention(_engine, _threads, shape[0], shape[1], shape[2], shape[3], causal: true));
            Row([Shape(shape), .. full.Speeds(withPeak: true), .. causal.Speeds(withPeak: false)]);
            points.AddRange(SpeedPoint.Of(shape, full, isCausal: false).Concat(SpeedPoint.Of(shape, causal, isCausal: true)));
        }

        Line("");
        Line("A whole layer, GFLOP/s.");
        Line("");
        Row(["batch,length,embedding,heads", .. Figures.SpeedHeads("ours", withPeak: true)], isHead: true);
        foreach (int[] shape in _layers)
            Row([Shape(shape), .. Measure(Comparisons.Layer(_engine, _threads, shape[0], shape[1], shape[2], shape[3])).Speeds(withPeak: true)]);

        Line("");
        Line("One query row, 32 heads, 8 key/value heads, head size 128, against ONNX Runtime's `GroupQueryAttention`, GB/s; memory: ours, as a share of the same turns' plain reading.");
        Line("");
        Row(["keys", "ours", "memory", "ONNX Runtime", "ratio"], isHead: true);
        foreach (int keys in _caches)
        {
            Figures figures = Measure(Comparisons.Decoding(_engine, _threads, 32, 8, keys, 128));
            double theirs = figures.PeerSeconds[OnnxRuntimeModel.Name];
            Row([
                $"{keys}", Figures.Text(figures.Bytes / figures.Seconds / 1e9, "F1"), Figures.Text(figures.BandwidthShare, "P0"),
                Figures.Text(figures.Bytes / theirs / 1e9, "F1"), Figures.Text(theirs / figures.Seconds, "F2"),
            ]);
        }

        WriteVariants();
        return points;
    }

    private void WriteVariants()
    {
        Line("");
        Line("Variants, time as a multiple of plain attention in the same turns (1 x 8 x 2,048 x 64, float32, not causal, where nothing else is said).");
        Line("");
        Row(["variant", "predicted", "came"], isHead: true);
        foreach (VariantCost cost in
            new VariantCosts(_engine).All.Concat(new MaskCosts(_engine, 8, 2048).All).Concat(new MaskCosts(_engine, 4, 1024).All))
        {
            double[] medians = Timing.Medians(_window, _duration, TimeSpan.Zero, [cost.Plain, cost.Variant]);
            Row([cost.Name, Figures.Text(cost.Predicted, "F2"), Figures.Text(medians[1] / medians[0], "F2")]);
        }
    }

    private Figures Measure(Comparison comparison)
    {
        using (comparison)
        {
            comparison.Check();
            double[] medians = Timing.Medians(
                _window, _duration, _settle,
                [comparison.Ours, _limits.MultiplyAdd, _limits.Read, .. comparison.Peers.Select(peer => (Action)peer.Run)]);

            // Of one library's ways the best counts.
            return new Figures
            {
                Operations = comparison.Operations,
                Bytes = comparison.Bytes,
                Seconds = medians[0],
                PeerSeconds = comparison.Peers.Zip(medians.Skip(3)).GroupBy(pair => pair.First.Library)
                    .ToDictionary(group => group.Key, group => group.Min(pair => pair.Second)),
                Peak = _limits.PeakOperations / medians[1],
                Bandwidth = MachineLimits.ReadBytes / medians[2],
            };
        }
    }

    private static string Shape(int[] shape) => string.Join(',', shape);

    private void Row(IEnumerable<string> cells, bool isHead = false) => _text.Row(cells, isHead);

    private void Line(string text) => _text.Line(text);
}
