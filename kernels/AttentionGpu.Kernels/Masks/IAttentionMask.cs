namespace AttentionGpu.Kernels.Masks;

/// <summary>
/// What hides keys from queries or shifts their scores. A mask is a small struct that the kernels are generic over, so that what a
/// problem does not use is not in the compiled loop. Indices are absolute and always inside the problem.
/// </summary>
public interface IAttentionMask
{
    /// <summary>
    /// Whether whole blocks can turn out hidden only by looking at the mask's data. The attention kernel then looks before it computes.
    /// </summary>
    static abstract bool ScansBlocks { get; }

    /// <summary>One past the last key that any query up to <paramref name="lastQuery"/> can see: blocks from there on are not visited.</summary>
    int EndKey(int lastQuery, int keyLength);

    /// <summary>Whether no query from <paramref name="firstQuery"/> on has its score changed for any key before <paramref name="endKey"/>.</summary>
    bool LeavesAlone(int firstQuery, int endKey);

    /// <summary>Whether the query sees the key.</summary>
    bool IsVisible(int batch, int head, int query, int key);

    /// <summary>The score as the mask leaves it: -inf where the key is hidden.</summary>
    float Apply(float score, int batch, int head, int query, int key);
}
