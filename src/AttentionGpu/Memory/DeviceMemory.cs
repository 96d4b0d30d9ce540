using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Memory;

/// <summary>
/// A range of bytes that a backend computes on: an ILGPU buffer, or an address in host memory. The owner keeps the memory alive.
/// </summary>
internal readonly struct DeviceMemory
{
    private readonly object? _owner;

    // An address on the host, an offset into the buffer on an accelerator.
    private readonly nint _address;

    private DeviceMemory(object? owner, nint address, long byteLength)
    {
        _owner = owner;
        _address = address;
        ByteLength = byteLength;
    }

    public long ByteLength { get; }

    public object? Owner => _owner;

    /// <summary>Whether it is any memory at all.</summary>
    public bool Exists => _owner is not null || _address != 0;

    /// <summary>This memory, or another where it is none: a kernel's unused arguments must be some memory.</summary>
    public DeviceMemory Or(DeviceMemory other) => Exists ? this : other;

    /// <summary>Whether both have bytes in common.</summary>
    public bool Overlaps(DeviceMemory other)
    {
        if (ByteLength == 0 || other.ByteLength == 0)
            return false;
        (long first, long second) = (_address, other._address);
        if (_owner is MemoryBuffer mine && other._owner is MemoryBuffer theirs && !ReferenceEquals(mine, theirs))
        {
            // Two buffers may lie over the same memory of the caller; an OpenCL buffer has no address to tell.
            if (mine.AcceleratorType == AcceleratorType.OpenCL)
                return false;
            (first, second) = (mine.NativePtr + first, theirs.NativePtr + second);
        }

        return first < second + other.ByteLength && second < first + ByteLength;
    }

    /// <summary>Whether both have the same first byte; never where one has no bytes.</summary>
    public bool StartsWith(DeviceMemory other) =>
        ByteLength > 0 && other.ByteLength > 0 && Slice<byte>(0, 1).Overlaps(other.Slice<byte>(0, 1));

    /// <summary>The address in host memory; false where the memory is a device's own. The emulator's buffers are in host memory.</summary>
    public bool TryGetHostAddress(out nint address)
    {
        address = _address;
        if (_owner is not MemoryBuffer buffer)
            return true;
        address = buffer.NativePtr + _address;
        return buffer.AcceleratorType == AcceleratorType.CPU;
    }

    /// <summary>Memory on an accelerator: a part of a buffer, in bytes.</summary>
    public static DeviceMemory OnDevice(MemoryBuffer buffer, long byteLength, long firstByte = 0) => new(buffer, (nint)firstByte, byteLength);

    /// <summary>Memory of the host. <paramref name="owner"/> is null where a caller has pinned it.</summary>
    public static DeviceMemory OnHost(object? owner, nint address, long byteLength) => new(owner, address, byteLength);

    /// <summary>The part from an element on.</summary>
    public DeviceMemory Slice<T>(long start, long length)
        where T : unmanaged
    {
        long offset = start * Unsafe.SizeOf<T>();
        long bytes = length * Unsafe.SizeOf<T>();
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + bytes, ByteLength);
        return new DeviceMemory(_owner, _address + (nint)offset, bytes);
    }

    /// <summary>The memory as a kernel sees it; only on an accelerator.</summary>
    public ArrayView<T> View<T>()
        where T : unmanaged =>
        ((MemoryBuffer)_owner!).AsRawArrayView(_address, ByteLength).Cast<T>();

    /// <summary>The address of the first element in the device's memory; only on an accelerator that has addresses.</summary>
    public long DeviceAddress => ((MemoryBuffer)_owner!).NativePtr + _address;

    /// <summary>
    /// Whether the first element's address on an accelerator is a multiple of a number of bytes, at most 16; true in host memory, and where
    /// there is no memory. An OpenCL buffer has no address, and starts at a multiple of 16 bytes at least.
    /// </summary>
    public bool StartsAtMultipleOf(int bytes) => _owner switch
    {
        MemoryBuffer { AcceleratorType: AcceleratorType.OpenCL } => _address % bytes == 0,
        MemoryBuffer => DeviceAddress % bytes == 0,
        _ => true,
    };

    /// <summary>The address of the first element; only in host memory.</summary>
    public unsafe T* Pointer<T>()
        where T : unmanaged => (T*)_address;
}
