using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Ranges;

/// <summary>
/// A query sees the keys near its own position (<see cref="Sequence.WindowOffset"/> says where that is): the sliding window of Beltagy and
/// others, "Longformer" (2020).
/// </summary>
public struct WindowRange : IKeyRange
{
    /// <summary>More keys than there are, and few enough to be added to a position.</summary>
    public const int Unbounded = 1 << 30;

    /// <summary>Keys before the query's position that it sees; at most <see cref="Unbounded"/>.</summary>
    public int Left;

    /// <summary>Keys after the query's position that it sees; at most <see cref="Unbounded"/>.</summary>
    public int Right;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly int FirstKey(Sequence sequence, int query) => IntrinsicMath.Max(0, query + sequence.WindowOffset - Left);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly int EndKey(Sequence sequence, int query) =>
        IntrinsicMath.Max(0, IntrinsicMath.Min(sequence.KeyLength, query + sequence.WindowOffset + Right + 1));
}
