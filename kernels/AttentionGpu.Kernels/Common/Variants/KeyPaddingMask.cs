using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>A byte per batch entry and key, [batch, key length] contiguous: anything but 0 marks padding and hides the key.</summary>
public struct KeyPaddingMask : IScoreVariant
{
    /// <summary>The mask's bytes.</summary>
    public ArrayView<byte> Data;

    /// <summary>Bytes of a batch entry.</summary>
    public int Pitch;

    /// <inheritdoc/>
    public static bool IsIdentity => false;

    /// <inheritdoc/>
    public static bool ScansBlocks => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsVisible(SequenceHead head, int query, int key) => Data[(long)head.Batch * Pitch + key] == 0;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, SequenceHead head, int query, int key) =>
        IsVisible(head, query, key) ? score : float.NegativeInfinity;
}
