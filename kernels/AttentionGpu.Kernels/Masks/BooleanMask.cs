using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Masks;

/// <summary>A byte per query and key, broadcast by strides: 0 hides the key. With a query stride of 0 it is a key padding mask.</summary>
public struct BooleanMask : IAttentionMask
{
    /// <summary>The mask's bytes.</summary>
    public ArrayView<byte> Data;

    /// <summary>Where a query's and key's byte is.</summary>
    public MaskStrides Strides;

    /// <inheritdoc/>
    public static bool ScansBlocks => true;

    /// <inheritdoc/>
    public readonly int EndKey(int lastQuery, int keyLength) => keyLength;

    /// <inheritdoc/>
    public readonly bool LeavesAlone(int firstQuery, int endKey) => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsVisible(int batch, int head, int query, int key) =>
        Data[Strides.Offset(batch, head, query, key)] != 0;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, int batch, int head, int query, int key) =>
        IsVisible(batch, head, query, key) ? score : float.NegativeInfinity;
}
