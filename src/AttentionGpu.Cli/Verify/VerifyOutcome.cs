namespace AttentionGpu.Cli.Verify;

/// <summary>How a case ended.</summary>
internal enum VerifyStatus
{
    Passed,
    Failed,
    Skipped,
}

/// <summary>The result of a case.</summary>
/// <param name="Name">The case.</param>
/// <param name="Status">How it ended.</param>
/// <param name="Error">The largest difference, relative to the largest expected output; null where it did not run.</param>
/// <param name="Milliseconds">The time it took on the device, compilation included.</param>
/// <param name="Note">Why it was skipped or failed.</param>
internal sealed record VerifyOutcome(string Name, VerifyStatus Status, double? Error, double Milliseconds, string? Note)
{
    /// <summary>The largest error that passes, for float32.</summary>
    public const double Tolerance = 1e-5;

    /// <summary>The largest error that passes, for float16.</summary>
    public const double Float16Tolerance = 2e-3;

    /// <summary>The largest error that passes, for bfloat16.</summary>
    public const double BFloat16Tolerance = 1e-2;

    /// <summary>
    /// Compares the outputs of a call, each of which has a largest element of its own, and returns the worst outcome. A reference that
    /// left an element unwritten is a failure.
    /// </summary>
    public static VerifyOutcome CompareEach(string name, float[][] actual, float[][] expected, double milliseconds, double tolerance) =>
        expected.Any(output => output.Any(float.IsNaN))
            ? new VerifyOutcome(name, VerifyStatus.Failed, null, milliseconds, "the reference left elements unwritten")
            : expected.Zip(actual, (want, got) => Compare(name, got, want, milliseconds, tolerance))
                .OrderBy(outcome => outcome.Status == VerifyStatus.Passed)
                .ThenByDescending(outcome => outcome.Error)
                .First();

    /// <summary>Compares an output with what it should be. NaN and infinities are equal to themselves alone.</summary>
    public static VerifyOutcome Compare(string name, ReadOnlySpan<float> actual, ReadOnlySpan<float> expected, double milliseconds, double tolerance = Tolerance)
    {
        if (actual.Length != expected.Length)
            return new VerifyOutcome(name, VerifyStatus.Failed, null, milliseconds, $"{actual.Length} elements, expected {expected.Length}");
        double largest = 0.0;
        double difference = 0.0;
        for (int i = 0; i < expected.Length; i++)
        {
            if (actual[i].Equals(expected[i]) && !float.IsFinite(expected[i]))
                continue;
            largest = Math.Max(largest, Math.Abs(expected[i]));
            double distance = Math.Abs((double)actual[i] - expected[i]);
            difference = double.IsNaN(distance) ? double.PositiveInfinity : Math.Max(difference, distance);
        }

        double error = difference == 0.0 ? 0.0 : difference / largest;
        return new VerifyOutcome(
            name, error <= tolerance ? VerifyStatus.Passed : VerifyStatus.Failed, error, milliseconds, null);
    }
}
