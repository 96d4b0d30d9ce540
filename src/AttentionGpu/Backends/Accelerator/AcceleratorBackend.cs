using AttentionGpu.Memory;
using ILGPU;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Runs the ILGPU kernels on a CUDA, OpenCL or emulated device. All work goes to the accelerator's default stream, which is in order.
/// </summary>
internal sealed class AcceleratorBackend : IBackend
{
    private readonly AcceleratorGate _gate = new();
    private readonly ILGPU.Runtime.Accelerator _accelerator;
    private readonly AcceleratorMemory _memory;
    private readonly KernelLoader _kernels;

    // Null where the accelerator is the caller's.
    private readonly Context? _context;

    public AcceleratorBackend(DeviceInfo device, long memoryLimit)
        : this(device, AcceleratorDevices.CreateContext(device.Name), TileChoice.For, memoryLimit)
    {
    }

    /// <param name="accelerator">
    /// An accelerator of the caller's, in a context with ILGPU's algorithms. The backend works on its default stream and does not dispose
    /// of it; it must live longer than the backend.
    /// </param>
    /// <param name="memoryLimit">Bytes that the backend may have.</param>
    public AcceleratorBackend(ILGPU.Runtime.Accelerator accelerator, long memoryLimit)
        : this(AcceleratorDevices.Describe(accelerator), null, accelerator, TileChoice.For, memoryLimit, null)
    {
    }

    /// <param name="device">The device.</param>
    /// <param name="context">A context that has it; the backend disposes of it.</param>
    /// <param name="chooseTiles">Decides the tiles, once the device is open.</param>
    /// <param name="memoryLimit">Bytes that it may have.</param>
    /// <param name="probe">What tests look through.</param>
    public AcceleratorBackend(
        DeviceInfo device, Context context, Func<ILGPU.Runtime.Accelerator, TileChoice> chooseTiles, long memoryLimit = long.MaxValue,
        AcceleratorProbe? probe = null)
        : this(device, context, Open(device, context), chooseTiles, memoryLimit, probe)
    {
    }

    private AcceleratorBackend(
        DeviceInfo device, Context? context, ILGPU.Runtime.Accelerator accelerator, Func<ILGPU.Runtime.Accelerator, TileChoice> chooseTiles,
        long memoryLimit, AcceleratorProbe? probe)
    {
        Device = device;
        _context = context;
        _accelerator = accelerator;
        try
        {
            probe ??= new AcceleratorProbe();
            _memory = new AcceleratorMemory(device.Name, accelerator, _gate, memoryLimit, probe);
            _kernels = new KernelLoader(accelerator, _gate, chooseTiles(accelerator), probe);
            Operators = new AcceleratorOperators(_kernels);
        }
        catch
        {
            DisposeOfOwn();
            throw;
        }
    }

    public DeviceInfo Device { get; }

    public IDeviceMemory Memory => _memory;

    public IOperators Operators { get; }

    /// <summary>Waits for copies, compilations and work that was started.</summary>
    public void Dispose()
    {
        if (!_gate.Close())
            return;
        try
        {
            // It waits for the stream: what runs there still needs its code.
            _memory.Dispose();
        }
        finally
        {
            _kernels.Dispose();
            DisposeOfOwn();
        }
    }

    private void DisposeOfOwn()
    {
        if (_context is null)
            return;
        _accelerator.Dispose();
        _context.Dispose();
    }

    private static ILGPU.Runtime.Accelerator Open(DeviceInfo device, Context context)
    {
        try
        {
            return AcceleratorDevices.Find(context, device.Name).CreateAccelerator(context);
        }
        catch (Exception exception)
        {
            context.Dispose();
            throw new InvalidOperationException(
                $"The device '{device.Name}' ({device.Description}) cannot be used: {exception.Message}", exception);
        }
    }
}
