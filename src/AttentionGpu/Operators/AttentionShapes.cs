using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <summary>The shapes of a call of scaled dot-product attention, from the host or from device tensors alike.</summary>
internal readonly ref struct AttentionShapes
{
    public required ReadOnlySpan<nint> Query { get; init; }

    public required ReadOnlySpan<nint> Key { get; init; }

    public required ReadOnlySpan<nint> Value { get; init; }

    public required ReadOnlySpan<nint> Output { get; init; }

    public MaskKind MaskKind { get; init; }

    public ReadOnlySpan<nint> Mask { get; init; }

    public bool NeedsWeights { get; init; }

    public bool AverageHeads { get; init; }

    public ReadOnlySpan<nint> Weights { get; init; }

    /// <summary>Validates the call and says it as a problem. The parameter names are those of the public methods.</summary>
    /// <exception cref="ArgumentException">A shape or an option is wrong.</exception>
    public AttentionProblem ToProblem(AttentionOptions options)
    {
        Shape.RequireRank(Query, 4, "[batch, heads, query length, head size]", "query");
        Shape.RequireRank(Key, 4, "[batch, key/value heads, key length, head size]", "key");
        Shape.RequireRank(Value, 4, "[batch, key/value heads, key length, value head size]", "value");
        (int batch, int heads, int queryLength, int headSize) = ((int)Query[0], (int)Query[1], (int)Query[2], (int)Query[3]);
        (int keyValueHeads, int keyLength, int valueHeadSize) = ((int)Key[1], (int)Key[2], (int)Value[3]);
        if (heads == 0)
            throw Shape.Error(Query, "must have at least one head", "query");
        if (headSize == 0)
            throw Shape.Error(Query, "must have a head size of at least 1", "query");
        Shape.RequireAxis(Key, 0, batch, "the batch, as in query", "key");
        if (keyValueHeads == 0 || heads % keyValueHeads != 0)
            throw Shape.Error(Key, $"must have a number of heads that divides query's {heads}", "key");
        Shape.RequireAxis(Key, 3, headSize, "the head size, as in query", "key");
        Shape.RequireAxis(Value, 0, batch, "the batch, as in query", "value");
        Shape.RequireAxis(Value, 1, keyValueHeads, "the key/value heads, as in key", "value");
        Shape.RequireAxis(Value, 2, keyLength, "the key length, as in key", "value");
        if (valueHeadSize == 0)
            throw Shape.Error(Value, "must have a value head size of at least 1", "value");
        Shape.Require(
            Output, [batch, heads, queryLength, valueHeadSize], "[batch, heads, query length, value head size]", "output");
        CheckOptions(options);
        MaskLayout mask = MaskShape.LayOut(MaskKind, Mask, [batch, heads, queryLength, keyLength]);
        if (NeedsWeights)
            RequireWeights(Weights, AverageHeads, batch, heads, queryLength, keyLength);

        return new AttentionProblem
        {
            Batch = batch,
            Heads = heads,
            KeyValueHeads = keyValueHeads,
            QueryLength = queryLength,
            KeyLength = keyLength,
            HeadSize = headSize,
            ValueHeadSize = valueHeadSize,
            Scale = options.Scale ?? AttentionProblem.DefaultScale(headSize),
            CausalOffset = CausalOffset(options.Causal, queryLength, keyLength),
            Query = TensorLayout.Contiguous(heads, queryLength, headSize),
            Key = TensorLayout.Contiguous(keyValueHeads, keyLength, headSize),
            Value = TensorLayout.Contiguous(keyValueHeads, keyLength, valueHeadSize),
            Output = TensorLayout.Contiguous(heads, queryLength, valueHeadSize),
            Mask = mask,
            Weights = KindOf(NeedsWeights, AverageHeads),
        };
    }

    /// <summary>The offset of the causal diagonal; null without one.</summary>
    public static int? CausalOffset(Causal causal, int queryLength, int keyLength) => causal switch
    {
        Causal.TopLeft => 0,
        Causal.BottomRight => keyLength - queryLength,
        _ => null,
    };

    /// <summary>Which weights a call asks for.</summary>
    public static WeightsKind KindOf(bool needsWeights, bool averageHeads) =>
        !needsWeights ? WeightsKind.None : averageHeads ? WeightsKind.Averaged : WeightsKind.PerHead;

    /// <summary>Checks the shape of the tensor that takes the weights.</summary>
    public static void RequireWeights(
        ReadOnlySpan<nint> weights, bool averageHeads, int batch, int heads, int queryLength, int keyLength)
    {
        if (averageHeads)
            Shape.Require(weights, [batch, queryLength, keyLength], "[batch, query length, key length]", "weights");
        else
            Shape.Require(weights, [batch, heads, queryLength, keyLength], "[batch, heads, query length, key length]", "weights");
    }

    /// <summary>Checks the options that are plain values.</summary>
    public static void CheckOptions(AttentionOptions options)
    {
        if (options.Scale is float scale && !float.IsFinite(scale))
            throw new ArgumentOutOfRangeException(nameof(options), scale, "The option 'Scale' must be finite.");
        if (!Enum.IsDefined(options.Causal))
            throw new ArgumentOutOfRangeException(nameof(options), options.Causal, "The option 'Causal' must be one of its named values.");
    }
}
