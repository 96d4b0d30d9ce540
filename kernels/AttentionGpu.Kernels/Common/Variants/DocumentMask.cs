using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>A number per query and per key, [batch, length] contiguous: a query sees the keys with its own number.</summary>
public struct DocumentMask : IScoreVariant
{
    /// <summary>The queries' numbers.</summary>
    public ArrayView<int> Queries;

    /// <summary>The keys' numbers.</summary>
    public ArrayView<int> Keys;

    /// <summary>Numbers of a batch entry's queries.</summary>
    public int QueryPitch;

    /// <summary>Numbers of a batch entry's keys.</summary>
    public int KeyPitch;

    /// <inheritdoc/>
    public static bool IsIdentity => false;

    /// <inheritdoc/>
    public static bool ScansBlocks => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsVisible(SequenceHead head, int query, int key) =>
        Queries[(long)head.Batch * QueryPitch + query] == Keys[(long)head.Batch * KeyPitch + key];

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, SequenceHead head, int query, int key) =>
        IsVisible(head, query, key) ? score : float.NegativeInfinity;
}
