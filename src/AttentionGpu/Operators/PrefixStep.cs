using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <summary>
/// Attention over rows that several sequences share, once for all of their queries; the request's own is over the other rows then, and both
/// are joined.
/// </summary>
internal readonly struct PrefixStep
{
    private const int Parts = 2;

    /// <summary>That of the request, over other sequences: the groups, and tokens between them that see no key.</summary>
    public required AttentionSignature Signature { get; init; }

    public required AttentionExtent Extent { get; init; }

    public required MergeStatesSignature Merge { get; init; }

    public required MergeStatesExtent MergeExtent { get; init; }

    /// <summary>Whether there is anything to do; the default value does nothing.</summary>
    public bool IsNeeded => MergeExtent.Parts != 0;

    /// <summary>The memory of both passes' outputs and sums.</summary>
    public MergeStatesBuffers Take(ref Workspace parts, in AttentionBuffers buffers) => !IsNeeded ? default : new MergeStatesBuffers
    {
        Outputs = parts.Take(checked(Parts * MergeExtent.Rows * Merge.ValueHeadSize * Merge.Element.Size())),
        LogSumExps = parts.Take(checked(Parts * MergeExtent.Rows * sizeof(float))),
        Output = buffers.Output,
        LogSumExp = buffers.LogSumExp,
    };

    /// <summary>The memory of a pass.</summary>
    /// <param name="merge">The memory of both.</param>
    /// <param name="buffers">The memory of the request.</param>
    /// <param name="part">0 for the request's own pass, 1 for that of the prefixes.</param>
    public AttentionBuffers Part(in MergeStatesBuffers merge, in AttentionBuffers buffers, int part)
    {
        long bytes = merge.Outputs.ByteLength / Parts;
        return buffers with
        {
            Output = merge.Outputs.Slice<byte>(part * bytes, bytes),
            LogSumExp = merge.LogSumExps.Slice<float>(part * MergeExtent.Rows, MergeExtent.Rows),
        };
    }
}
