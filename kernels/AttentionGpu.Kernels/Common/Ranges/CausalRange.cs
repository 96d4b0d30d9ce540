using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Ranges;

/// <summary>A query sees the keys up to its own position: <see cref="Sequence.CausalOffset"/> says where the diagonal is.</summary>
public struct CausalRange : IKeyRange
{
    /// <inheritdoc/>
    public readonly int FirstKey(Sequence sequence, int query) => 0;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly int EndKey(Sequence sequence, int query) =>
        IntrinsicMath.Max(0, IntrinsicMath.Min(sequence.KeyLength, query + sequence.CausalOffset + 1));
}
