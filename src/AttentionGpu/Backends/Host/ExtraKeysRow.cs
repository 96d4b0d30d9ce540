using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Host;

/// <summary>What extra keys make of a row of a finished attention.</summary>
internal readonly struct ExtraKeysRow
{
    /// <summary>By what the row's output and weights are multiplied.</summary>
    public double Factor { get; private init; }

    /// <summary>The weight of the caller's key.</summary>
    public double KeyWeight { get; private init; }

    /// <summary>The logarithm of the new sum.</summary>
    public double LogSumExp { get; private init; }

    /// <summary>The column of the caller's key in the scores that are asked for.</summary>
    public double KeyColumn { get; private init; }

    /// <summary>The column of the key of zeros.</summary>
    public double ZeroColumn { get; private init; }

    /// <summary>By what the scores of the other keys are multiplied.</summary>
    public double ColumnFactor { get; private init; }

    /// <summary>Joins the extra keys to a row.</summary>
    /// <param name="signature">Which keys there are.</param>
    /// <param name="extent">The sizes of the call.</param>
    /// <param name="logSumExp">The logarithm of the row's sum; -inf where the query sees no key.</param>
    /// <param name="product">The scaled product of the query and the caller's key.</param>
    public static ExtraKeysRow Join(in ExtraKeysSignature signature, in ExtraKeysExtent extent, double logSumExp, double product)
    {
        double score = signature.HasSoftcap ? extent.Softcap * Math.Tanh(product / extent.Softcap) : product;
        double ofKey = signature.HasKey ? score : double.NegativeInfinity;
        double ofZero = signature.HasZeroKey ? 0.0 : double.NegativeInfinity;
        double largest = Math.Max(logSumExp, Math.Max(ofKey, ofZero));
        double sum = SumShare.Of(logSumExp, largest) + SumShare.Of(ofKey, largest) + SumShare.Of(ofZero, largest);
        double total = sum == 0.0 ? 1.0 : sum;
        double keyWeight = SumShare.Of(ofKey, largest) / total;
        double factor = SumShare.Of(logSumExp, largest) / total;
        return new ExtraKeysRow
        {
            Factor = factor,
            KeyWeight = keyWeight,
            LogSumExp = largest + Math.Log(total),
            ColumnFactor = signature.HasWeights ? factor : 1.0,
            KeyColumn = signature.HasWeights ? keyWeight : signature.Scores == ScoreStage.Products ? product : score,
            ZeroColumn = signature.HasWeights ? SumShare.Of(ofZero, largest) / total : 0.0,
        };
    }
}
