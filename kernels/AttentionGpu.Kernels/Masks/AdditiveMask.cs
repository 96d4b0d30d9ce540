using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Masks;

/// <summary>A float per query and key, broadcast by strides, added to the scaled score: -inf hides the key.</summary>
public struct AdditiveMask : IAttentionMask
{
    /// <summary>The mask's values.</summary>
    public ArrayView<float> Data;

    /// <summary>Where a query's and key's value is.</summary>
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
        Data[Strides.Offset(batch, head, query, key)] != float.NegativeInfinity;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, int batch, int head, int query, int key) =>
        score + Data[Strides.Offset(batch, head, query, key)];
}
