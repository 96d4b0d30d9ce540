using AttentionGpu.Problems;

namespace AttentionGpu.Layers;

/// <summary>The shapes of a call of a layer, from the host or from device tensors alike.</summary>
internal readonly ref struct LayerShapes
{
    public required ReadOnlySpan<nint> Query { get; init; }

    public required ReadOnlySpan<nint> Key { get; init; }

    public required ReadOnlySpan<nint> Value { get; init; }

    public required ReadOnlySpan<nint> Output { get; init; }

    /// <summary>Whether query, key and value are the same tensor.</summary>
    public bool SameInput { get; init; }

    public MaskKind MaskKind { get; init; }

    public ReadOnlySpan<nint> Mask { get; init; }

    public bool HasKeyPadding { get; init; }

    public ReadOnlySpan<nint> KeyPadding { get; init; }

    public bool NeedsWeights { get; init; }

    public bool AverageHeads { get; init; }

    public ReadOnlySpan<nint> Weights { get; init; }
}
