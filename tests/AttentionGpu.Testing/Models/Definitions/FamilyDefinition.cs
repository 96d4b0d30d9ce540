namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>
/// A layer of attention: where its tensors are, and what the model does with it. SAM's decoder has no stack of the usual kinds.
/// </summary>
internal sealed record DefinedLayer(string Prefix, int Index, ModelStack? Stack, bool IsCausal = false, bool IsCross = false);

/// <summary>Rows that a layer gets; keys and values of self-attention are those of the queries.</summary>
internal sealed record LayerRows(double[][] Query, double[][] Key, double[][] Value);

/// <summary>
/// A family of models: a checkpoint as the Hub has it, and what its attention makes of rows in float64, written from the published source
/// that the family's method names.
/// </summary>
/// <param name="Name">The <c>model_type</c>, and where it has several kinds which.</param>
/// <param name="Create">A checkpoint with random numbers.</param>
/// <param name="Layers">Some of its layers, one of each kind.</param>
/// <param name="Attend">The output of a layer's last projection.</param>
internal sealed record FamilyDefinition(
    string Name, Func<Random, HubCheckpoint> Create, DefinedLayer[] Layers, Func<HubCheckpoint, DefinedLayer, LayerRows, double[][]> Attend)
{
    /// <summary>The size of an input row.</summary>
    public required int Size { get; init; }

    /// <summary>Whether keys and values are three inputs of their own, as SAM adds positions to the keys alone.</summary>
    public bool HasOwnKeys { get; init; }

    public override string ToString() => Name;
}
