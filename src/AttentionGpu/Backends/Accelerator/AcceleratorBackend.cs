using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Runs the ILGPU kernels on a CUDA, OpenCL or emulated device. All work goes to the accelerator's one in-order stream, so memory may be
/// returned to the pool while work that uses it is still queued: whoever gets it next queues behind that work.
/// </summary>
internal sealed class AcceleratorBackend : IAttentionBackend
{
    // ILGPU's launch and copy calls are not documented as safe for many threads, and the stream is in order anyway.
    private readonly Lock _gate = new();
    private readonly Context _context;
    private readonly ILGPU.Runtime.Accelerator _accelerator;
    private readonly SizeClassPool<MemoryBuffer1D<byte, Stride1D.Dense>> _pool;
    private readonly KernelLoader _loader;

    public AcceleratorBackend(DeviceInfo device, long memoryLimit)
        : this(device, AcceleratorDevices.CreateContext(), TileChoice.For, memoryLimit)
    {
    }

    /// <param name="device">The device.</param>
    /// <param name="context">A context that has it; the backend disposes of it.</param>
    /// <param name="chooseTiles">Decides the tiles, once the device is open.</param>
    /// <param name="memoryLimit">Bytes that it may have.</param>
    public AcceleratorBackend(
        DeviceInfo device, Context context, Func<ILGPU.Runtime.Accelerator, TileChoice> chooseTiles, long memoryLimit = long.MaxValue)
    {
        Device = device;
        _context = context;
        try
        {
            _accelerator = AcceleratorDevices.Find(_context, device.Name).CreateAccelerator(_context);
        }
        catch (Exception exception)
        {
            _context.Dispose();
            throw new InvalidOperationException($"The device '{device.Name}' ({device.Description}) cannot be used: {exception.Message}", exception);
        }

        _pool = new SizeClassPool<MemoryBuffer1D<byte, Stride1D.Dense>>(Allocate, Release, memoryLimit);
        _loader = new KernelLoader(_accelerator, _gate, chooseTiles(_accelerator));
    }

    public DeviceInfo Device { get; }

    public bool UsesHostMemory => false;

    public long BytesInUse => _pool.BytesInUse;

    public IPlan<AttentionBuffers> Plan(AttentionProblem problem)
    {
        using (_loader.Enter())
        {
            return new AttentionPlanner(problem, this, _loader).Plan();
        }
    }

    public IPlan<LinearBuffers> Plan(LinearProblem problem)
    {
        using (_loader.Enter())
        {
            return LinearPlanner.Plan(problem, this, _loader);
        }
    }

    public IPlan<HeadTransformBuffers> Plan(HeadTransform problem)
    {
        if (problem.IsEmpty)
            return new NothingPlan<HeadTransformBuffers>();
        using (_loader.Enter())
        {
            return problem.Element switch
            {
                ElementType.Float32 => new HeadTransformPlan<SingleElement>(problem, _loader),
                ElementType.Float16 => new HeadTransformPlan<HalfElement>(problem, _loader),
                _ => new HeadTransformPlan<BFloat16Element>(problem, _loader),
            };
        }
    }

    public int WeightPanelRows => 0;

    public void PanelWeight(DeviceMemory weight, int rows, int depth)
    {
    }

    public DeviceMemory Rent(long byteLength)
    {
        using (_loader.Enter())
        {
            return DeviceMemory.OnDevice(_pool.Rent(byteLength), byteLength);
        }
    }

    public void Return(DeviceMemory memory)
    {
        lock (_gate)
        {
            // After disposal the accelerator has freed every buffer itself.
            if (!_loader.IsDisposed && memory.Owner is MemoryBuffer1D<byte, Stride1D.Dense> buffer)
                _pool.Return(buffer, buffer.Length);
        }
    }

    public void Upload(ReadOnlySpan<byte> source, DeviceMemory target)
    {
        if (source.IsEmpty)
            return;
        using (_loader.Enter())
        {
            target.View<byte>().SubView(0, source.Length).CopyFromCPU(_accelerator.DefaultStream, source);
            _accelerator.DefaultStream.Synchronize();
        }
    }

    public void Download(DeviceMemory source, Span<byte> target)
    {
        if (target.IsEmpty)
            return;
        using (_loader.Enter())
        {
            source.View<byte>().SubView(0, target.Length).CopyToCPU(_accelerator.DefaultStream, target);
            _accelerator.DefaultStream.Synchronize();
        }
    }

    public void Synchronize()
    {
        using (_loader.Enter())
        {
            _accelerator.DefaultStream.Synchronize();
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_loader.IsDisposed)
                return;
            _loader.IsDisposed = true;
            _pool.Clear();
            _accelerator.DefaultStream.Synchronize();
            _accelerator.Dispose();
            _context.Dispose();
        }
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
        buffer.Dispose();
    }
}
