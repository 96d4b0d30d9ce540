using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Kernels.Common.Ranges;

/// <summary>Every query sees every key of its sequence.</summary>
public struct AllKeys : IKeyRange
{
    /// <inheritdoc/>
    public readonly int FirstKey(Sequence sequence, int query) => 0;

    /// <inheritdoc/>
    public readonly int EndKey(Sequence sequence, int query) => sequence.KeyLength;
}
