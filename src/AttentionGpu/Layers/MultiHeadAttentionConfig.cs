namespace AttentionGpu;

/// <summary>The sizes of a <see cref="MultiHeadAttention"/> layer.</summary>
public sealed record MultiHeadAttentionConfig
{
    /// <summary>Elements of an input and of an output row: PyTorch's <c>embed_dim</c>.</summary>
    public required int EmbeddingSize { get; init; }

    /// <summary>Query heads. They divide <see cref="EmbeddingSize"/> unless <see cref="HeadSize"/> is given.</summary>
    public required int Heads { get; init; }

    /// <summary>Key/value heads, which divide <see cref="Heads"/>; null for as many as there are query heads.</summary>
    public int? KeyValueHeads { get; init; }

    /// <summary>Elements of a head; null for <see cref="EmbeddingSize"/> / <see cref="Heads"/>.</summary>
    public int? HeadSize { get; init; }

    /// <summary>Elements of a row that keys are made from: PyTorch's <c>kdim</c>; null for <see cref="EmbeddingSize"/>.</summary>
    public int? KeySize { get; init; }

    /// <summary>Elements of a row that values are made from: PyTorch's <c>vdim</c>; null for <see cref="EmbeddingSize"/>.</summary>
    public int? ValueSize { get; init; }

    /// <summary>What a dot product is multiplied by; null for 1 / sqrt(head size).</summary>
    public float? Scale { get; init; }

    /// <summary>
    /// Scaled scores s become <c>c * tanh(s / c)</c> before anything is added to them; null for no cap. Finite and more than 0. Gemma 2's
    /// soft
    /// capping.
    /// </summary>
    public float? Softcap { get; init; }

    /// <summary>How far a query sees to both sides: a sliding window (Mistral, gpt-oss); null for as far as there are keys.</summary>
    public AttentionWindow? Window { get; init; }

    /// <summary>Rotary embedding of queries and keys (Llama); null for none.</summary>
    public RotaryEmbedding? Rotary { get; init; }

    /// <summary>
    /// What root-mean-square normalisation of queries and keys adds to the mean of squares: <c>rms_norm_eps</c>. Finite, at least 0. Left
    /// out where <see cref="MultiHeadAttentionWeights"/> has no norms.
    /// </summary>
    public float NormEpsilon { get; init; } = AttentionOptions.DefaultNormEpsilon;

    /// <summary>
    /// Whether a request's results have the same bits alone and in any batch, projections included: as
    /// <see cref="AttentionOptions.BatchInvariant"/>. <see cref="AttentionEngineOptions.BatchInvariant"/> says it for all layers of an
    /// engine.
    /// </summary>
    public bool BatchInvariant { get; init; }

    /// <summary>
    /// Whether every query sees one more key, of zeros, whose value is zeros: PyTorch's <c>add_zero_attn</c>. Attention weights have a
    /// column for it, the last one.
    /// </summary>
    public bool AddZeroAttention { get; init; }

    /// <summary>Whether tensors are [batch, length, size] rather than [length, batch, size].</summary>
    public bool BatchFirst { get; init; } = true;

    internal int ActualKeyValueHeads => KeyValueHeads ?? Heads;

    internal int ActualHeadSize => HeadSize ?? EmbeddingSize / Heads;

    internal int ActualKeySize => KeySize ?? EmbeddingSize;

    internal int ActualValueSize => ValueSize ?? EmbeddingSize;

    internal int QueryRows => Heads * ActualHeadSize;

    internal int KeyValueRows => ActualKeyValueHeads * ActualHeadSize;

    /// <summary>Throws where a size is not positive or does not divide what it must.</summary>
    internal void Validate()
    {
        RequirePositive(EmbeddingSize, nameof(EmbeddingSize));
        RequirePositive(Heads, nameof(Heads));
        RequirePositive(ActualKeyValueHeads, nameof(KeyValueHeads));
        RequirePositive(HeadSize ?? 1, nameof(HeadSize));
        RequirePositive(ActualKeySize, nameof(KeySize));
        RequirePositive(ActualValueSize, nameof(ValueSize));
        if (HeadSize is null && EmbeddingSize % Heads != 0)
            throw new ArgumentException(
                $"Heads ({Heads}) must divide EmbeddingSize ({EmbeddingSize}), or HeadSize must be given.", "config");
        if (Heads % ActualKeyValueHeads != 0)
            throw new ArgumentException($"KeyValueHeads ({ActualKeyValueHeads}) must divide Heads ({Heads}).", "config");
        if (Scale is float scale && !float.IsFinite(scale))
            throw new ArgumentOutOfRangeException("config", scale, "Scale must be finite.");
        if (Softcap is float cap && !(float.IsFinite(cap) && cap > 0f))
            throw new ArgumentOutOfRangeException("config", cap, "Softcap must be finite and more than 0.");
        if (!(float.IsFinite(NormEpsilon) && NormEpsilon >= 0f))
            throw new ArgumentOutOfRangeException("config", NormEpsilon, "NormEpsilon must be finite and at least 0.");
        Window?.Validate("config");
        Rotary?.Validate(ActualHeadSize);
        long largest = Math.Max((long)Heads * ActualHeadSize, EmbeddingSize);
        if ((largest + 2L * ActualKeyValueHeads * ActualHeadSize) > int.MaxValue)
            throw new ArgumentException($"The heads together must have at most {int.MaxValue} elements.", "config");
    }

    private static void RequirePositive(int value, string name)
    {
        if (value <= 0)
            throw new ArgumentOutOfRangeException(name, value, "The size must be at least 1.");
    }
}
