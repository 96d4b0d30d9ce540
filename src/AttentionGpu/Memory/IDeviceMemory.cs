using ILGPU;

namespace AttentionGpu.Memory;

/// <summary>
/// The memory of a device. All members may be called from many threads at once. Copies keep the order of the work that was started before
/// and
/// after them.
/// </summary>
internal interface IDeviceMemory
{
    /// <summary>The device's name, for errors.</summary>
    string DeviceName { get; }

    /// <summary>Whether it is the host's memory, so that a caller's pinned spans need no copy.</summary>
    bool IsHostMemory { get; }

    /// <summary>Bytes that are rented.</summary>
    long BytesInUse { get; }

    /// <summary>Takes memory from the pool, aligned to 64 bytes at least; its contents are undefined.</summary>
    /// <exception cref="AttentionMemoryException">There is not enough.</exception>
    DeviceMemory Rent(long byteLength);

    /// <summary>Gives memory back. Work already started on a device's stream may still use it.</summary>
    void Return(DeviceMemory memory);

    /// <summary>Gives memory that nobody has rented back to the system or the device. The next calls allocate again.</summary>
    void ReleaseUnused();

    /// <summary>
    /// Memory of the caller at an address that the device can read and write. It must outlive its uses, and is never returned.
    /// </summary>
    /// <exception cref="NotSupportedException">The device has no addresses.</exception>
    /// <exception cref="ArgumentException">The device cannot read the address.</exception>
    DeviceMemory WrapAddress(nint address, long byteLength);

    /// <summary>Memory of the caller in an ILGPU buffer. It must outlive its uses, and is never returned.</summary>
    /// <exception cref="NotSupportedException">The device is not driven by ILGPU.</exception>
    /// <exception cref="ArgumentException">The buffer is another accelerator's.</exception>
    DeviceMemory WrapView(ArrayView<byte> view);

    /// <summary>
    /// Copies from the host; the source may change when it returns. Small copies do not wait for the device, and no copy keeps other
    /// threads
    /// from starting work while it waits.
    /// </summary>
    void Upload(ReadOnlySpan<byte> source, DeviceMemory target);

    /// <summary>Copies to the host, after all work started before.</summary>
    void Download(DeviceMemory source, Span<byte> target);

    /// <summary>Copies within the device. The ranges are equally long and do not overlap.</summary>
    void Copy(DeviceMemory source, DeviceMemory target);

    /// <summary>Waits until all work started before has finished.</summary>
    void Synchronize();
}
