using AttentionGpu.Memory;

namespace AttentionGpu.Problems;

/// <summary>
/// Rows of a [batch, heads, length, size] tensor that are copied to where attention reads them, and normalised and rotated on the way where
/// it is asked for.
/// </summary>
internal sealed record HeadTransform
{
    public required int Batch { get; init; }

    public required int Heads { get; init; }

    public required int Length { get; init; }

    public required int Size { get; init; }

    public required ElementType Element { get; init; }

    public required TensorLayout Source { get; init; }

    public required TensorLayout Target { get; init; }

    /// <summary>What is added to the mean of squares of a row that is normalised; null for none.</summary>
    public float? NormEpsilon { get; init; }

    /// <summary>Elements at the start of a row that are rotated; 0 for none.</summary>
    public int RotarySize { get; init; }

    /// <summary>Whether the elements of a rotated pair are neighbours; else they are half the rotary size apart.</summary>
    public bool IsInterleaved { get; init; }

    public bool IsEmpty => Batch == 0 || Length == 0;
}

/// <summary>The memory that a row plan runs on.</summary>
internal readonly struct HeadTransformBuffers
{
    public DeviceMemory Source { get; init; }

    public DeviceMemory Target { get; init; }

    /// <summary>A factor for each element of a normalised row.</summary>
    public DeviceMemory Norm { get; init; }

    /// <summary>[positions, rotary size / 2].</summary>
    public DeviceMemory Cosine { get; init; }

    /// <summary>[positions, rotary size / 2].</summary>
    public DeviceMemory Sine { get; init; }

    /// <summary>[batch, length].</summary>
    public DeviceMemory Positions { get; init; }
}
