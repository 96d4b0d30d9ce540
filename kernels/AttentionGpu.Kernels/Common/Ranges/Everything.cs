using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Kernels.Common.Ranges;

/// <summary>No key is hidden, not even those behind a sequence's end: for scores that are wanted as they come from the product.</summary>
public struct Everything : IKeyRange
{
    /// <inheritdoc/>
    public readonly int FirstKey(Sequence sequence, int query) => 0;

    /// <inheritdoc/>
    public readonly int EndKey(Sequence sequence, int query) => int.MaxValue;
}
