namespace AttentionGpu.Problems;

/// <summary>Whether the attention weights themselves are asked for.</summary>
internal enum WeightsKind
{
    /// <summary>No: the fused kernel never holds them.</summary>
    None,

    /// <summary>[batch, heads, query length, key length].</summary>
    PerHead,

    /// <summary>[batch, query length, key length]: the mean over heads.</summary>
    Averaged,
}

/// <summary>The one description of an attention computation. Validated before it is made; plans are cached by it.</summary>
internal sealed record AttentionProblem
{
    public required int Batch { get; init; }

    public required int Heads { get; init; }

    public required int KeyValueHeads { get; init; }

    public required int QueryLength { get; init; }

    public required int KeyLength { get; init; }

    public required int HeadSize { get; init; }

    public required int ValueHeadSize { get; init; }

    public required float Scale { get; init; }

    public required TensorLayout Query { get; init; }

    public required TensorLayout Key { get; init; }

    public required TensorLayout Value { get; init; }

    public required TensorLayout Output { get; init; }

    /// <summary>Query i sees key j where j is at most i plus this; null without a causal mask.</summary>
    public int? CausalOffset { get; init; }

    public MaskLayout Mask { get; init; }

    /// <summary>Whether there is a [batch, key length] mask whose bytes mark padding.</summary>
    public bool HasKeyPadding { get; init; }

    public WeightsKind Weights { get; init; }

    /// <summary>Query heads that share a key/value head.</summary>
    public int GroupSize => Heads / KeyValueHeads;

    /// <summary>Elements of the per-head weights.</summary>
    public long WeightCount => (long)Batch * Heads * QueryLength * KeyLength;

    /// <summary>Whether the output has no element.</summary>
    public bool IsEmpty => Batch == 0 || QueryLength == 0;

    /// <summary>1 / sqrt(head size).</summary>
    public static float DefaultScale(int headSize) => (float)(1.0 / Math.Sqrt(headSize));
}
