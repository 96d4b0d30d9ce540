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

    public DeviceMemory ExtraKey;

    public DeviceMemory ExtraValue;

    public DeviceMemory QueryNorm;

    public DeviceMemory KeyNorm;

    public DeviceMemory Cosine;

    public DeviceMemory Sine;

    public DeviceMemory QueryPositions;

    public DeviceMemory KeyPositions;
}
