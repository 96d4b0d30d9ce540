namespace AttentionGpu.Backends.Host;

/// <summary>The part that a sum of exponentials has, from its logarithm.</summary>
internal static class SumShare
{
    /// <summary>The sum over that of the largest logarithm. One of -inf has no part, even where the largest is -inf too.</summary>
    public static double Of(double logarithm, double largest) =>
        double.IsNegativeInfinity(logarithm) ? 0.0 : Math.Exp(logarithm - largest);
}
