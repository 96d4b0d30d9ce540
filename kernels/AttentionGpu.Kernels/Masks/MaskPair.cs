using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Masks;

/// <summary>Two masks at once: a key is visible where both show it. Pairs nest.</summary>
public struct MaskPair<TFirst, TSecond> : IAttentionMask
    where TFirst : struct, IAttentionMask
    where TSecond : struct, IAttentionMask
{
    /// <summary>The mask that is asked first: the cheaper one.</summary>
    public TFirst First;

    /// <summary>The mask that is asked where the first shows the key.</summary>
    public TSecond Second;

    /// <inheritdoc/>
    public static bool ScansBlocks => TFirst.ScansBlocks || TSecond.ScansBlocks;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly int EndKey(int lastQuery, int keyLength) =>
        IntrinsicMath.Min(First.EndKey(lastQuery, keyLength), Second.EndKey(lastQuery, keyLength));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool LeavesAlone(int firstQuery, int endKey) =>
        First.LeavesAlone(firstQuery, endKey) && Second.LeavesAlone(firstQuery, endKey);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsVisible(int batch, int head, int query, int key) =>
        First.IsVisible(batch, head, query, key) && Second.IsVisible(batch, head, query, key);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, int batch, int head, int query, int key) =>
        Second.Apply(First.Apply(score, batch, head, query, key), batch, head, query, key);
}
