using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <summary>Keys that join attention after it; see <see cref="ExtraKeysSignature"/>.</summary>
internal readonly struct ExtraKeysStep
{
    public required ExtraKeysSignature Signature { get; init; }

    public required ExtraKeysExtent Extent { get; init; }

    /// <summary>Logarithms of sums in memory of the call; 0 where the caller has asked for them, and they are in the caller's.</summary>
    public required long SumsInWorkspace { get; init; }

    /// <summary>Whether there is anything to do; the default value does nothing.</summary>
    public bool IsNeeded => Signature.Count > 0;

    /// <summary>
    /// Memory for what attention leaves to this step: logarithms of sums that nobody asked for, and scores without the extra keys.
    /// </summary>
    public AttentionBuffers Take(ref Workspace parts, in AttentionBuffers buffers)
    {
        if (!IsNeeded)
            return buffers;
        DeviceMemory logSumExp = SumsInWorkspace == 0 ? buffers.LogSumExp : parts.Take(checked(SumsInWorkspace * sizeof(float)));
        DeviceMemory scores = Signature.Scores is null ? default : parts.Take(checked(Extent.StoredScores * Signature.Element.Size()));
        return buffers with { LogSumExp = logSumExp, Scores = scores };
    }
}
