using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Host;

/// <summary>The share that each part of the keys has in a row, from the logarithms of the parts' sums.</summary>
/// <param name="largest">The largest of the logarithms.</param>
/// <param name="total">The sum of the exponentials of their distances to the largest; 0 for a row that sees no key.</param>
internal readonly unsafe struct MergedRow(double largest, double total)
{
    /// <summary>The logarithm of the joined sum.</summary>
    public double LogSumExp => total == 0.0 ? largest : largest + Math.Log(total);

    /// <summary>Reads the logarithms of a row.</summary>
    /// <param name="extent">The sizes of the call.</param>
    /// <param name="logSumExps">The row's logarithm in the first part.</param>
    public static MergedRow Of(in MergeStatesExtent extent, float* logSumExps)
    {
        double largest = double.NegativeInfinity;
        for (int part = 0; part < extent.Parts; part++)
            largest = Math.Max(largest, logSumExps[part * extent.Rows]);
        double total = 0.0;
        for (int part = 0; part < extent.Parts; part++)
            total += SumShare.Of(logSumExps[part * extent.Rows], largest);
        return new MergedRow(largest, total);
    }

    /// <summary>What a part's output is multiplied by; 0 for a part in which the row sees no key.</summary>
    public double Weight(float logSumExp) => total == 0.0 ? 0.0 : SumShare.Of(logSumExp, largest) / total;
}
