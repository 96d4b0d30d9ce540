namespace AttentionGpu.Cli.Bench;

/// <summary>Times steps of decoding beside what the machine can do in the same turns.</summary>
internal static class DecodeBench
{
    // Peak, reading and steps are timed in turns of the same length: a processor's clock is faster in short bursts.
    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan _duration = TimeSpan.FromSeconds(3);

    /// <param name="engine">Where it runs.</param>
    /// <param name="settings">The step.</param>
    /// <param name="count">How many steps are timed at once: what not every step does is in the mean.</param>
    /// <param name="threads">Threads of the measurements of the machine.</param>
    public static DecodeFigures Measure(AttentionEngine engine, DecodeSettings settings, int count, int threads)
    {
        using var steps = new DecodeSteps(engine, settings);
        var problem = new BenchProblem(steps.Run, settings.Operations, settings.Bytes);
        Action step = Timing.Repeat(steps.Run, count);
        if (engine.Device.Kind != DeviceKind.Simd)
        {
            double seconds = Timing.Medians(_window, _duration, TimeSpan.Zero, step)[0] / count;
            return new DecodeFigures(settings, BenchFigures.Of(problem, seconds), steps, null);
        }

        using var limits = new MachineLimits(threads);
        var reading = new CacheReading(steps, settings, threads);
        double[] medians = Timing.Medians(
            _window, _duration, TimeSpan.Zero, [step, limits.MultiplyAdd, .. reading.Ways.Select(way => Timing.Repeat(way, count))]);
        (double read, string reader) = medians.Skip(2).Zip(CacheReading.Names).MinBy(pair => pair.First);
        return new DecodeFigures(
            settings, BenchFigures.Of(problem, [medians[0] / count, medians[1], read / count], limits.PeakOperations, reading.Bytes), steps,
            reader);
    }
}
