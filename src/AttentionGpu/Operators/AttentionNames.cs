namespace AttentionGpu.Operators;

/// <summary>The public names of arguments that the operator and the layer call differently, for errors.</summary>
internal sealed record AttentionNames(string Query, string Scores, string CumulativeQueryLengths)
{
    /// <summary>The names of <see cref="AttentionInputs{T}"/> and <see cref="AttentionOutputs{T}"/>.</summary>
    public static AttentionNames Operator { get; } = new("query", "scores", "cumulativeQueryLengths");

    /// <summary>The names of <see cref="MultiHeadAttentionInputs{T}"/> and <see cref="MultiHeadAttentionOutputs{T}"/>.</summary>
    public static AttentionNames Layer { get; } = new("query", "weights", "cumulativeLengths");

    /// <summary>The names of a layer's calls that take one input.</summary>
    public static AttentionNames LayerOfInput { get; } = Layer with { Query = "input" };

    /// <summary>The operator's names, with weights for scores.</summary>
    public static AttentionNames OperatorWithWeights { get; } = Operator with { Scores = "weights" };
}
