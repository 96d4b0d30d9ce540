namespace AttentionGpu.Kernels.Masks;

/// <summary>Every query sees every key.</summary>
public struct NoMask : IAttentionMask
{
    /// <inheritdoc/>
    public static bool ScansBlocks => false;

    /// <inheritdoc/>
    public readonly int EndKey(int lastQuery, int keyLength) => keyLength;

    /// <inheritdoc/>
    public readonly bool LeavesAlone(int firstQuery, int endKey) => true;

    /// <inheritdoc/>
    public readonly bool IsVisible(int batch, int head, int query, int key) => true;

    /// <inheritdoc/>
    public readonly float Apply(float score, int batch, int head, int query, int key) => score;
}
