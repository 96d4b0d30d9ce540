namespace AttentionGpu;

/// <summary>How far scores have come when they are written. The ONNX operator's <c>qk_matmul_output_mode</c> is in brackets.</summary>
public enum ScoreStage
{
    /// <summary>
    /// The attention weights: after the softmax (3). Rows add up to 1 with their sink, or to 0 for a query that sees no key.
    /// </summary>
    Weights,

    /// <summary>The scaled products of queries and keys (0).</summary>
    Products,

    /// <summary>After soft capping (1).</summary>
    Softcapped,

    /// <summary>After everything is added, with -inf where a key is hidden (2).</summary>
    Masked,

    /// <summary>The mean of the weights over heads: [batch, query length, key length].</summary>
    AverageWeights,
}
