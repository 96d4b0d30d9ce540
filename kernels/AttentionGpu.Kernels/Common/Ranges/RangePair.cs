using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Ranges;

/// <summary>The keys that both ranges have.</summary>
public struct RangePair<TFirst, TSecond> : IKeyRange
    where TFirst : struct, IKeyRange
    where TSecond : struct, IKeyRange
{
    /// <summary>A range.</summary>
    public TFirst First;

    /// <summary>Another range.</summary>
    public TSecond Second;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly int FirstKey(Sequence sequence, int query) =>
        IntrinsicMath.Max(First.FirstKey(sequence, query), Second.FirstKey(sequence, query));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly int EndKey(Sequence sequence, int query) =>
        IntrinsicMath.Min(First.EndKey(sequence, query), Second.EndKey(sequence, query));
}
