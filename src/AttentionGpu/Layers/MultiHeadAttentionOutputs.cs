namespace AttentionGpu;

/// <summary>What a call of a layer writes. All of each tensor is written; none may overlap an input or another output.</summary>
/// <typeparam name="T">The element type of the layer.</typeparam>
public ref struct MultiHeadAttentionOutputs<T>
    where T : unmanaged
{
    /// <summary>The shape of the query.</summary>
    public required TensorOutput<T> Output;

    /// <summary>
    /// The attention weights: [batch, heads, query length, key length], or [batch, query length, key length] if averaged.
    /// Behind the keys come as many columns as <see cref="MultiHeadAttention.ExtraKeys"/>, as in PyTorch. Costs memory and time that the
    /// output alone does not.
    /// </summary>
    public TensorOutput<T> Weights;

    /// <summary>Whether the weights are the mean over heads.</summary>
    public bool AverageWeights;

    /// <summary>
    /// [batch, heads, query length], or [heads, tokens] for ragged sequences: the logarithm of the sum of exponentials of each row.
    /// </summary>
    public TensorOutput<float> LogSumExp;
}
