using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Masks;

/// <summary>A byte per batch entry and key, [batch, key length] contiguous: anything but 0 marks padding and hides the key.</summary>
public struct KeyPaddingMask : IAttentionMask
{
    /// <summary>The mask's bytes.</summary>
    public ArrayView<byte> Data;

    /// <summary>Keys of a batch entry.</summary>
    public int KeyLength;

    /// <inheritdoc/>
    public static bool ScansBlocks => true;

    /// <inheritdoc/>
    public readonly int EndKey(int lastQuery, int keyLength) => keyLength;

    /// <inheritdoc/>
    public readonly bool LeavesAlone(int firstQuery, int endKey) => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsVisible(int batch, int head, int query, int key) => Data[(long)batch * KeyLength + key] == 0;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, int batch, int head, int query, int key) =>
        IsVisible(batch, head, query, key) ? score : float.NegativeInfinity;
}
