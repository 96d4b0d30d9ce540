namespace AttentionGpu.Memory;

/// <summary>Cuts the memory that a call has rented into parts, one after another. Measures first, where there is no memory yet.</summary>
internal ref struct Workspace(DeviceMemory memory)
{
    // What a device's widest loads want.
    private const long Alignment = 256;

    private long _taken;

    /// <summary>Bytes of all parts so far.</summary>
    public readonly long ByteLength => _taken;

    /// <summary>Bytes that a part takes.</summary>
    public static long Aligned(long byteLength) => checked(byteLength + Alignment - 1) / Alignment * Alignment;

    /// <summary>The next part; nothing for 0 bytes.</summary>
    public DeviceMemory Take(long byteLength)
    {
        if (byteLength == 0)
            return default;
        long start = _taken;
        _taken = checked(start + Aligned(byteLength));
        return memory.Exists ? memory.Slice<byte>(start, byteLength) : default;
    }

    /// <summary>All that is left.</summary>
    public readonly DeviceMemory Rest() => _taken < memory.ByteLength ? memory.Slice<byte>(_taken, memory.ByteLength - _taken) : default;
}
