using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <summary>The memory of an <see cref="AttentionRequest"/>: that of its computation, and that of the rows that are moved before.</summary>
internal struct AttentionMemory
{
    /// <summary>The computation's memory, with the call's own queries, keys and values.</summary>
    public AttentionBuffers Buffers;

    public DeviceMemory PastKey;

    public DeviceMemory PastValue;

    public DeviceMemory PresentKey;

    public DeviceMemory PresentValue;

    /// <summary>The keys and values of a cache's layer, where the call has a cache.</summary>
    public (DeviceMemory Key, DeviceMemory Value)? Cache;

    /// <summary>The sequences of a pass over rows that sequences of the cache share.</summary>
    public DeviceMemory PrefixSequences;

    public DeviceMemory ExtraKey;

    public DeviceMemory ExtraValue;

    public DeviceMemory QueryNorm;

    public DeviceMemory KeyNorm;

    public DeviceMemory Cosine;

    public DeviceMemory Sine;

    public DeviceMemory QueryPositions;

    public DeviceMemory KeyPositions;

    /// <summary>Where new keys go, if they go where they stay: to the present, or to a cache.</summary>
    public readonly DeviceMemory KeyTarget => Cache?.Key ?? PresentKey;

    /// <summary>The same for values.</summary>
    public readonly DeviceMemory ValueTarget => Cache?.Value ?? PresentValue;
}
