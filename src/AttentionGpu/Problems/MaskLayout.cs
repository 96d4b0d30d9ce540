namespace AttentionGpu.Problems;

/// <summary>What a mask's elements are.</summary>
internal enum MaskKind
{
    None,

    /// <summary>A byte; 0 hides the key.</summary>
    Boolean,

    /// <summary>A float, added to the scaled score.</summary>
    Additive,
}

/// <summary>A mask of up to [batch, heads, query length, key length]; a stride is 0 where the mask is broadcast.</summary>
internal readonly record struct MaskLayout(MaskKind Kind, long Batch, long Head, long Query, long Key)
{
    /// <summary>The element for one query and key.</summary>
    public long Offset(int batch, int head, int query, int key) => batch * Batch + head * Head + query * Query + key * Key;
}
