using AttentionGpu.Memory;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Cuts a workspace into parts, one behind the other, that start where a device reads well.</summary>
internal ref struct WorkspaceParts(DeviceMemory workspace)
{
    private const int Alignment = 256;

    private long _next;

    /// <summary>Bytes that a part takes.</summary>
    public static long Aligned(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    /// <summary>The next part. An empty one is some memory, as a kernel's unused argument must be.</summary>
    public DeviceMemory Take(long bytes)
    {
        if (bytes == 0)
            return workspace;
        DeviceMemory part = workspace.Slice<byte>(_next, bytes);
        _next += Aligned(bytes);
        return part;
    }

    /// <summary>All that is left.</summary>
    public readonly DeviceMemory Rest() => workspace.Slice<byte>(_next, workspace.ByteLength - _next);
}
