namespace AttentionGpu.Layers;

/// <summary>What a call of a layer reads and writes.</summary>
internal readonly ref struct LayerCall
{
    public required TensorInput<float> Query { get; init; }

    public required TensorInput<float> Key { get; init; }

    public required TensorInput<float> Value { get; init; }

    public required TensorOutput<float> Output { get; init; }

    public AttentionMask Mask { get; init; }

    public TensorInput<bool> KeyPadding { get; init; }

    public TensorOutput<float> Weights { get; init; }

    public bool AverageHeads { get; init; }

    public Causal Causal { get; init; }

    /// <summary>Where each of several ragged sequences starts, and the number of tokens; empty where sequences are not ragged.</summary>
    public ReadOnlySpan<int> CumulativeLengths { get; init; }

    /// <summary>What the weights are; null where nobody asks for them.</summary>
    public ScoreStage? Scores =>
        !Weights.IsPresent ? null : AverageHeads ? ScoreStage.AverageWeights : ScoreStage.Weights;
}
