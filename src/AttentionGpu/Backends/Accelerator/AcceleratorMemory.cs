using AttentionGpu.Memory;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// The memory of an accelerator. All work goes to its one in-order stream, so memory may be returned to the pool while work that uses it is
/// still queued: whoever gets it next queues behind that work. Drivers take copies and waits from many threads, so neither holds the gate
/// of launches.
/// </summary>
internal sealed class AcceleratorMemory : IDeviceMemory, IDisposable
{
    private readonly ILGPU.Runtime.Accelerator _accelerator;
    private readonly AcceleratorGate _gate;
    private readonly AcceleratorProbe _probe;
    private readonly SizeClassPool<MemoryBuffer1D<byte, Stride1D.Dense>> _pool;
    private readonly StagingRing _ring;
    private long _synchronizations;

    /// <param name="deviceName">The name of the device.</param>
    /// <param name="accelerator">The accelerator.</param>
    /// <param name="gate">What closes before the accelerator goes.</param>
    /// <param name="limit">Bytes that it may have.</param>
    /// <param name="probe">What tests look through.</param>
    public AcceleratorMemory(
        string deviceName, ILGPU.Runtime.Accelerator accelerator, AcceleratorGate gate, long limit, AcceleratorProbe probe)
    {
        DeviceName = deviceName;
        _accelerator = accelerator;
        _gate = gate;
        _probe = probe;
        _pool = new SizeClassPool<MemoryBuffer1D<byte, Stride1D.Dense>>(Allocate, Release, limit);
        _ring = new StagingRing(accelerator, WaitForStream);
    }

    public string DeviceName { get; }

    public bool IsHostMemory => false;

    public long BytesInUse => _pool.BytesInUse;

    /// <summary>How often copies and callers have waited for the stream.</summary>
    public long Synchronizations => Interlocked.Read(ref _synchronizations);

    public DeviceMemory Rent(long byteLength)
    {
        using AcceleratorGate.Scope open = _gate.KeepOpen();
        return DeviceMemory.OnDevice(_pool.Rent(byteLength), byteLength);
    }

    public void Return(DeviceMemory memory)
    {
        if (memory.Owner is not MemoryBuffer1D<byte, Stride1D.Dense> buffer)
            return;
        try
        {
            using AcceleratorGate.Scope open = _gate.KeepOpen();
            _pool.Return(buffer, buffer.Length);
        }
        catch (ObjectDisposedException)
        {
            // A tensor may outlive its engine. An accelerator that is gone has freed its buffers; one that is the caller's has not.
            if (!buffer.IsDisposed && !_accelerator.IsDisposed)
                Free(buffer);
        }
    }

    public void ReleaseUnused()
    {
        using AcceleratorGate.Scope open = _gate.KeepOpen();
        _pool.Clear();
    }

    public DeviceMemory WrapAddress(nint address, long byteLength)
    {
        using AcceleratorGate.Scope open = _gate.KeepOpen();
        return _accelerator is CudaAccelerator cuda
            ? DeviceMemory.OnDevice(new ForeignCudaBuffer(cuda, address, byteLength), byteLength)
            : throw new NotSupportedException($"The device '{DeviceName}' has no addresses: give it an ILGPU view.");
    }

    public DeviceMemory WrapView(ArrayView<byte> view)
    {
        using AcceleratorGate.Scope open = _gate.KeepOpen();
        IContiguousArrayView contiguous = view;
        MemoryBuffer buffer = contiguous.Buffer;
        if (!ReferenceEquals(buffer.Accelerator, _accelerator))
            throw new ArgumentException($"The view's buffer is on another accelerator than the engine's, '{DeviceName}'.", nameof(view));
        return DeviceMemory.OnDevice(buffer, view.LengthInBytes, contiguous.IndexInBytes);
    }

    public unsafe void Upload(ReadOnlySpan<byte> source, DeviceMemory target)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(source.Length, target.ByteLength);
        if (source.IsEmpty)
            return;
        using AcceleratorGate.Scope open = _gate.KeepOpen();
        ArrayView<byte> view = target.View<byte>();
        if (source.Length <= StagingRing.MaxCopyBytes)
        {
            _ring.Upload(source, view);
            return;
        }

        // A driver may still read while the copy is queued: the memory must not move.
        fixed (byte* pinned = source)
        {
            view.CopyFromCPUUnsafeAsync(_accelerator.DefaultStream, ref *pinned, source.Length);
            WaitForStream();
        }
    }

    public unsafe void Download(DeviceMemory source, Span<byte> target)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(target.Length, source.ByteLength);
        if (target.IsEmpty)
            return;
        using AcceleratorGate.Scope open = _gate.KeepOpen();
        fixed (byte* pinned = target)
        {
            source.View<byte>().CopyToCPUUnsafeAsync(_accelerator.DefaultStream, ref *pinned, target.Length);
            WaitForStream();
        }
    }

    public void Copy(DeviceMemory source, DeviceMemory target)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.ByteLength, target.ByteLength);
        if (source.ByteLength == 0)
            return;
        using AcceleratorGate.Scope open = _gate.KeepOpen();
        source.View<byte>().CopyTo(_accelerator.DefaultStream, target.View<byte>());
    }

    public void Synchronize()
    {
        using AcceleratorGate.Scope open = _gate.KeepOpen();
        WaitForStream();
    }

    /// <summary>
    /// Frees what nobody has rented, when the gate is closed. What is rented is freed with the accelerator, or when it is returned.
    /// </summary>
    public void Dispose()
    {
        _accelerator.DefaultStream.Synchronize();
        _accelerator.Bind();
        _ring.Dispose();
        _pool.Clear();
    }

    private void WaitForStream()
    {
        _probe.Synchronizing?.Invoke();
        Interlocked.Increment(ref _synchronizations);
        _accelerator.DefaultStream.Synchronize();
    }

    private MemoryBuffer1D<byte, Stride1D.Dense> Allocate(long bytes)
    {
        try
        {
            return _accelerator.Allocate1D<byte>(bytes);
        }
        catch (AcceleratorException)
        {
            // Blocks of other sizes may lie unused in the pool.
            _pool.Clear();
        }

        try
        {
            return _accelerator.Allocate1D<byte>(bytes);
        }
        catch (AcceleratorException exception)
        {
            throw new AttentionMemoryException(bytes, _pool.BytesInUse - bytes, exception);
        }
    }

    // Work that was started may still use it.
    private void Release(MemoryBuffer1D<byte, Stride1D.Dense> buffer)
    {
        _accelerator.DefaultStream.Synchronize();
        Free(buffer);
    }

    // CUDA frees memory of the thread's current context.
    private void Free(MemoryBuffer1D<byte, Stride1D.Dense> buffer)
    {
        _accelerator.Bind();
        buffer.Dispose();
    }
}
