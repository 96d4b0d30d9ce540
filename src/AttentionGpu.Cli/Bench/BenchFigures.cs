namespace AttentionGpu.Cli.Bench;

/// <summary>The figures of a timed problem, in operations, bytes and seconds.</summary>
/// <param name="Seconds">The time of a call.</param>
/// <param name="Speed">Operations a second.</param>
/// <param name="Rate">Bytes a second.</param>
internal sealed record BenchFigures(double Seconds, double Speed, double Rate)
{
    /// <summary>The operations a second that the machine did with nothing else; null where that was not measured.</summary>
    public double? Peak { get; init; }

    /// <summary>The bytes a second that the machine read with nothing else; null where that was not measured.</summary>
    public double? Bandwidth { get; init; }

    /// <summary>The part of the peak that the problem reached.</summary>
    public double? PeakShare => Speed / Peak;

    /// <summary>The part of the bandwidth that the problem used; more than 1 where caches hold it.</summary>
    public double? BandwidthShare => Rate / Bandwidth;

    /// <summary>The figures of a problem whose call takes a time, without those of the machine.</summary>
    public static BenchFigures Of(BenchProblem problem, double seconds) =>
        new(seconds, problem.Operations / seconds, problem.Bytes / seconds);

    /// <summary>The figures of a problem beside those of the machine.</summary>
    /// <param name="problem">The problem.</param>
    /// <param name="seconds">The times of the problem, of <paramref name="peakOperations"/> and of <paramref name="readBytes"/>.</param>
    /// <param name="peakOperations">Operations from registers alone.</param>
    /// <param name="readBytes">Bytes that no cache holds.</param>
    public static BenchFigures Of(BenchProblem problem, double[] seconds, double peakOperations, double readBytes) =>
        Of(problem, seconds[0]) with { Peak = peakOperations / seconds[1], Bandwidth = readBytes / seconds[2] };
}
