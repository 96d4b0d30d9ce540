namespace AttentionGpu.Problems;

/// <summary>A mask of up to [batch, heads, query length, key length]; a stride is 0 where the mask is broadcast.</summary>
internal readonly record struct MaskLayout(long Batch, long Head, long Query, long Key)
{
    /// <summary>The element for one query and key.</summary>
    public long Offset(int batch, int head, int query, int key) => batch * Batch + head * Head + query * Query + key * Key;
}
