namespace AttentionGpu;

/// <summary>Which keys a query may see by position alone.</summary>
public enum Causal
{
    /// <summary>All of them.</summary>
    None,

    /// <summary>
    /// Query i sees keys 0 to i: the diagonal starts at the top left. PyTorch's <c>scaled_dot_product_attention(is_causal=True)</c> and the
    /// ONNX <c>Attention</c> operator without a past.
    /// </summary>
    TopLeft,

    /// <summary>
    /// The last query sees every key: the diagonal ends at the bottom right, as when the queries are the last positions of a longer
    /// sequence. FlashAttention's rule. The same as <see cref="TopLeft"/> where the lengths are equal.
    /// </summary>
    BottomRight,
}

/// <summary>Settings of scaled dot-product attention that are not tensors.</summary>
public sealed record AttentionOptions
{
    internal static AttentionOptions Default { get; } = new();

    /// <summary>What a dot product is multiplied by; null for 1 / sqrt(head size). Must be finite.</summary>
    public float? Scale { get; init; }

    /// <summary>Which keys a query may see by position alone.</summary>
    public Causal Causal { get; init; }
}
