using System.Globalization;
using AttentionGpu.Tests.Torch;

namespace AttentionGpu.Bench.Peers;

/// <summary>What one computation took, ours and each library's, and what the machine did in the same turns.</summary>
internal sealed record Figures
{
    public required double Operations { get; init; }

    public required double Bytes { get; init; }

    /// <summary>Ours.</summary>
    public required double Seconds { get; init; }

    /// <summary>By library.</summary>
    public required IReadOnlyDictionary<string, double> PeerSeconds { get; init; }

    /// <summary>Operations a second of multiply-adds from registers.</summary>
    public required double Peak { get; init; }

    /// <summary>Bytes a second of plain reading.</summary>
    public required double Bandwidth { get; init; }

    public double Speed => SpeedIn(Seconds);

    public double BandwidthShare => Bytes / Seconds / Bandwidth;

    /// <summary>GFLOP/s of the computation in a time.</summary>
    public double SpeedIn(double seconds) => Operations / seconds / 1e9;

    /// <summary>The heads of <see cref="Speeds"/>.</summary>
    public static IEnumerable<string> SpeedHeads(string ours, bool withPeak)
    {
        yield return ours;
        if (withPeak)
            yield return "peak";
        yield return OnnxRuntimeModel.Name;
        if (withPeak)
            yield return "peak";
        yield return "ratio";
        if (!TorchLibrary.IsAvailable)
            yield break;
        yield return TorchPeer.Name;
        yield return "ratio";
    }

    /// <summary>Speeds and ratios as the cells of a table: ours, ONNX Runtime's, and libtorch's where it loads.</summary>
    public IEnumerable<string> Speeds(bool withPeak)
    {
        yield return Text(Speed, "F0");
        if (withPeak)
            yield return Text(Operations / Seconds / Peak, "P0");
        foreach (string library in new[] { OnnxRuntimeModel.Name, TorchPeer.Name })
        {
            if (!PeerSeconds.TryGetValue(library, out double seconds))
                continue;
            yield return Text(SpeedIn(seconds), "F0");
            if (withPeak && library == OnnxRuntimeModel.Name)
                yield return Text(Operations / seconds / Peak, "P0");
            yield return Text(seconds / Seconds, "F2");
        }
    }

    /// <summary>A number as the cell of a table.</summary>
    public static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
