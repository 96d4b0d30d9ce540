using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Ranges;

/// <summary>
/// Causal, but the keys of a prefix are visible to every query: bidirectional over the prefix, causal after it (the prefix LM of Raffel and
/// others, "T5", 2020).
/// </summary>
public struct PrefixRange : IKeyRange
{
    /// <inheritdoc/>
    public readonly int FirstKey(Sequence sequence, int query) => 0;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly int EndKey(Sequence sequence, int query) =>
        IntrinsicMath.Max(
            IntrinsicMath.Min(sequence.PrefixLength, sequence.KeyLength), default(CausalRange).EndKey(sequence, query));
}
