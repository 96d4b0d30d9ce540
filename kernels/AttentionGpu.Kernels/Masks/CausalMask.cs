using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Masks;

/// <summary>A query sees the keys up to its own position plus <see cref="Offset"/>.</summary>
public struct CausalMask : IAttentionMask
{
    /// <summary>
    /// 0 aligns the diagonal to the top left, as PyTorch's <c>is_causal</c> does; key length minus query length aligns it to the bottom
    /// right, so that the last query sees every key.
    /// </summary>
    public int Offset;

    /// <inheritdoc/>
    public static bool ScansBlocks => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly int EndKey(int lastQuery, int keyLength) =>
        IntrinsicMath.Max(0, IntrinsicMath.Min(keyLength, lastQuery + Offset + 1));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool LeavesAlone(int firstQuery, int endKey) => endKey - 1 <= firstQuery + Offset;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsVisible(int batch, int head, int query, int key) => key <= query + Offset;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, int batch, int head, int query, int key) =>
        key <= query + Offset ? score : float.NegativeInfinity;
}
