using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>A byte per query and key, broadcast by strides: 0 hides the key. With a query stride of 0 it is a key padding mask.</summary>
public struct BooleanMask : IScoreVariant
{
    /// <summary>The mask's bytes.</summary>
    public ArrayView<byte> Data;

    /// <summary>Where a query's and key's byte is.</summary>
    public MaskStrides Strides;

    /// <inheritdoc/>
    public static bool IsIdentity => false;

    /// <inheritdoc/>
    public static bool ScansBlocks => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsVisible(SequenceHead head, int query, int key) =>
        Data[Strides.Offset(head.Batch, head.Head, query, key)] != 0;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, SequenceHead head, int query, int key) =>
        IsVisible(head, query, key) ? score : float.NegativeInfinity;
}
