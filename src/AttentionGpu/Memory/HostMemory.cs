using ILGPU;

namespace AttentionGpu.Memory;

/// <summary>
/// The host's memory, for backends that compute there. Blocks are native memory, as long as the system has, and start at a page.
/// </summary>
internal sealed class HostMemory : IDeviceMemory, IDisposable
{
    private readonly SizeClassPool<NativeBlock> _pool;

    /// <param name="deviceName">The name of the device, for errors.</param>
    /// <param name="limit">Bytes of all blocks at most.</param>
    public HostMemory(string deviceName, long limit)
    {
        DeviceName = deviceName;
        _pool = new SizeClassPool<NativeBlock>(Allocate, block => block.Dispose(), limit);
    }

    public string DeviceName { get; }

    public bool IsHostMemory => true;

    public long BytesInUse => _pool.BytesInUse;

    public DeviceMemory Rent(long byteLength)
    {
        NativeBlock block = _pool.Rent(byteLength);
        return DeviceMemory.OnHost(block, block.Address, byteLength);
    }

    public void Return(DeviceMemory memory)
    {
        if (memory.Owner is NativeBlock block)
            _pool.Return(block, block.ByteLength);
    }

    public void ReleaseUnused() => _pool.Clear();

    public DeviceMemory WrapAddress(nint address, long byteLength) => DeviceMemory.OnHost(null, address, byteLength);

    public DeviceMemory WrapView(ArrayView<byte> view) =>
        throw new NotSupportedException($"The device '{DeviceName}' is not driven by ILGPU: it cannot read ILGPU buffers.");

    public unsafe void Upload(ReadOnlySpan<byte> source, DeviceMemory target)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(source.Length, target.ByteLength);
        source.CopyTo(new Span<byte>(target.Pointer<byte>(), source.Length));
    }

    public unsafe void Download(DeviceMemory source, Span<byte> target)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(target.Length, source.ByteLength);
        new ReadOnlySpan<byte>(source.Pointer<byte>(), target.Length).CopyTo(target);
    }

    public unsafe void Copy(DeviceMemory source, DeviceMemory target)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.ByteLength, target.ByteLength);
        Buffer.MemoryCopy(source.Pointer<byte>(), target.Pointer<byte>(), target.ByteLength, source.ByteLength);
    }

    public void Synchronize()
    {
    }

    /// <summary>
    /// Frees the blocks that nobody has rented; the others are freed when they are returned to a pool nobody holds any more.
    /// </summary>
    public void Dispose() => ReleaseUnused();

    private NativeBlock Allocate(long bytes)
    {
        try
        {
            return new NativeBlock(bytes);
        }
        catch (OutOfMemoryException)
        {
            // Blocks of other sizes may lie unused in the pool.
            _pool.Clear();
        }

        try
        {
            return new NativeBlock(bytes);
        }
        catch (OutOfMemoryException exception)
        {
            throw new AttentionMemoryException(bytes, _pool.BytesInUse - bytes, exception);
        }
    }
}
