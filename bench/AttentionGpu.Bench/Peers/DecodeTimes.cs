using AttentionGpu.Cli.Bench;

namespace AttentionGpu.Bench.Peers;

/// <summary>Times of steps, and what the machine did in the same turns.</summary>
/// <param name="Ours">Seconds of each of our steps.</param>
/// <param name="Bandwidth">Bytes a second of the fastest plain reading of each one's rows.</param>
/// <param name="Peak">Operations a second of multiply-adds from registers.</param>
/// <param name="Others">Seconds of what else ran.</param>
internal sealed record DecodeTimes(double[] Ours, double[] Bandwidth, double Peak, double[] Others)
{
    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan _duration = TimeSpan.FromSeconds(6);

    // ONNX Runtime's threads spin for a while after a call; ours would share the cores with them.
    private static readonly TimeSpan _settle = TimeSpan.FromMilliseconds(50);

    /// <param name="limits">The measurement of multiply-adds.</param>
    /// <param name="threads">Threads of plain reading.</param>
    /// <param name="count">Steps that are timed at once.</param>
    /// <param name="ours">Our steps.</param>
    /// <param name="others">What else takes turns: a step each.</param>
    public static DecodeTimes Measure(
        MachineLimits limits, int threads, int count, (DecodeSettings Settings, DecodeSteps Steps)[] ours, params Action[] others)
    {
        CacheReading[] readings = Array.ConvertAll(ours, one => new CacheReading(one.Steps, one.Settings, threads));
        double[] medians = Timing.Medians(
            _window, _duration, others.Length > 0 ? _settle : TimeSpan.Zero,
            [
                .. ours.Select(one => Repeat(one.Steps.Run, count)), .. others, limits.MultiplyAdd,
                .. readings.SelectMany(reading => reading.Ways),
            ]);
        int first = ours.Length + others.Length + 1;
        return new DecodeTimes(
            [.. medians.Take(ours.Length).Select(seconds => seconds / count)],
            [.. readings.Zip(medians.Skip(first).Chunk(CacheReading.Names.Length), (reading, seconds) => reading.Bytes / seconds.Min())],
            limits.PeakOperations / medians[first - 1],
            medians[ours.Length..(first - 1)]);
    }

    /// <summary>The least seconds that a step can take.</summary>
    public double Floor(DecodeSettings settings, int index) => Math.Max(settings.Bytes / Bandwidth[index], settings.Operations / Peak);

    private static Action Repeat(Action action, int count) => () =>
    {
        for (int i = 0; i < count; i++)
            action();
    };
}
