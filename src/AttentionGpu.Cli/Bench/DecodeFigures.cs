namespace AttentionGpu.Cli.Bench;

/// <summary>The figures of a step of decoding.</summary>
/// <param name="Step">Those of any problem.</param>
/// <param name="TokensPerSecond">New tokens of all sequences a second.</param>
/// <param name="Sets">Sets of sequences that the steps go round.</param>
/// <param name="CacheBytes">Bytes of their cache.</param>
/// <param name="Reader">The way of plain reading that was the fastest; null where none was measured.</param>
internal sealed record DecodeFigures(BenchFigures Step, double TokensPerSecond, int Sets, long CacheBytes, string? Reader)
{
    /// <param name="settings">The step.</param>
    /// <param name="step">Its figures.</param>
    /// <param name="steps">What was timed.</param>
    /// <param name="reader">The way of plain reading.</param>
    public DecodeFigures(DecodeSettings settings, BenchFigures step, DecodeSteps steps, string? reader)
        : this(step, settings.Lengths.Length / step.Seconds, steps.Sets, steps.Cache.ByteLength, reader)
    {
    }
}
