using AttentionGpu.Memory;

namespace AttentionGpu.Problems;

/// <summary>The memory that an attention plan runs on. What the problem does not have is left at its default.</summary>
internal readonly struct AttentionBuffers
{
    public DeviceMemory Query { get; init; }

    public DeviceMemory Key { get; init; }

    public DeviceMemory Value { get; init; }

    public DeviceMemory Output { get; init; }

    public DeviceMemory Mask { get; init; }

    public DeviceMemory KeyPadding { get; init; }

    public DeviceMemory Weights { get; init; }
}
