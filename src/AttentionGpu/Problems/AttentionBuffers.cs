using AttentionGpu.Memory;

namespace AttentionGpu.Problems;

/// <summary>The memory that an attention plan runs on. What the signature does not have is left at its default.</summary>
internal readonly struct AttentionBuffers
{
    public DeviceMemory Query { get; init; }

    public DeviceMemory Key { get; init; }

    public DeviceMemory Value { get; init; }

    /// <summary>The scales of the keys' rows, where they are quantised.</summary>
    public DeviceMemory KeyScales { get; init; }

    /// <summary>The scales of the values' rows; the keys' where values are the first elements of keys.</summary>
    public DeviceMemory ValueScales { get; init; }

    /// <summary>The number of each page of keys and values, where they are paged.</summary>
    public DeviceMemory Pages { get; init; }

    public DeviceMemory Output { get; init; }

    public DeviceMemory Mask { get; init; }

    public DeviceMemory Bias { get; init; }

    /// <summary>The additive mask of keys beside the additive mask.</summary>
    public DeviceMemory KeyBias { get; init; }

    public DeviceMemory KeyPadding { get; init; }

    public DeviceMemory QueryDocuments { get; init; }

    public DeviceMemory KeyDocuments { get; init; }

    public DeviceMemory AlibiSlopes { get; init; }

    /// <summary>[heads, 2 x reach + 1].</summary>
    public DeviceMemory DistanceBias { get; init; }

    /// <summary>[queries of all sequences, words of a row]: a bit for each query of the row's sequence that the row's query sees.</summary>
    public DeviceMemory Ancestors { get; init; }

    public DeviceMemory Sinks { get; init; }

    /// <summary>A sequence for each batch entry.</summary>
    public DeviceMemory Sequences { get; init; }

    public DeviceMemory Scores { get; init; }

    public DeviceMemory LogSumExp { get; init; }
}
