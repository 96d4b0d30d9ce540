namespace AttentionGpu;

/// <summary>A device that an engine can run on, and what it can do.</summary>
public sealed record DeviceInfo
{
    /// <summary>The name that selects it: <c>cuda:0</c>, <c>opencl:0</c>, <c>simd</c>, <c>ilgpu-cpu</c>, <c>reference</c>.</summary>
    public required string Name { get; init; }

    /// <summary>What executes the work.</summary>
    public required DeviceKind Kind { get; init; }

    /// <summary>The product's name, as its driver gives it.</summary>
    public required string Description { get; init; }

    /// <summary>Whether it is a graphics processor (an OpenCL device can be a CPU).</summary>
    public bool IsGpu { get; init; }

    /// <summary>Why no engine can be made on it; null where one can.</summary>
    public string? Problem { get; init; }

    /// <summary>Device memory in bytes; 0 where the device uses the host's memory.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>Multiprocessors, compute units or cores.</summary>
    public int Multiprocessors { get; init; }

    /// <summary>Threads that run in lockstep, or lanes of a vector; 1 where there is no such thing.</summary>
    public int WarpSize { get; init; }

    /// <summary>Most threads in a group.</summary>
    public int MaxGroupSize { get; init; }

    /// <summary>Shared (local) memory of a group in bytes.</summary>
    public long SharedMemoryBytes { get; init; }

    /// <summary>The instruction set or API version, such as <c>SM_90</c>, <c>OpenCL 3.0</c> or <c>512-bit vectors</c>.</summary>
    public string Capability { get; init; } = "";
}
