using System.Numerics.Tensors;
using AttentionGpu.Backends;
using AttentionGpu.Devices;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu;

/// <summary>
/// Runs attention on one device. Owns the device's context and its pool of memory. All members may be called from many threads at once.
/// Calls with host tensors return when their outputs are written; calls with <see cref="DeviceTensor"/> arguments may return while the
/// device still works, and whatever is called next waits its turn.
/// </summary>
public sealed partial class AttentionEngine : IDisposable
{
    private readonly PlanCache<AttentionProblem, AttentionBuffers> _attentionPlans;
    private readonly PlanCache<LinearProblem, LinearBuffers> _linearPlans;
    private readonly PlanCache<HeadTransform, HeadTransformBuffers> _rowPlans;
    private volatile bool _disposed;

    /// <summary>An engine on a device.</summary>
    /// <param name="device">
    /// A name from <see cref="ListDevices"/>, or <c>auto</c>: the device that the environment variable <c>ATTENTION_DEVICE</c> names, else the
    /// first CUDA device, else the first OpenCL GPU, else <c>simd</c>.
    /// </param>
    /// <param name="options">How it uses the device; null for the defaults.</param>
    /// <exception cref="ArgumentException">There is no such device; nothing falls back silently.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    /// <exception cref="InvalidOperationException">The device's driver refuses to work.</exception>
    public AttentionEngine(string device = DeviceCatalog.Auto, AttentionEngineOptions? options = null)
        : this(CreateBackend(device, options ?? AttentionEngineOptions.Default))
    {
    }

    internal AttentionEngine(IAttentionBackend backend)
    {
        Backend = backend;
        _attentionPlans = new(backend.Plan);
        _linearPlans = new(backend.Plan);
        _rowPlans = new(backend.Plan);
    }

    /// <summary>The device that the engine runs on.</summary>
    public DeviceInfo Device => Backend.Device;

    /// <summary>Bytes of device tensors, layers' parameters and running calls.</summary>
    public long MemoryInUse => Backend.BytesInUse;

    internal IAttentionBackend Backend { get; }

    /// <summary>All devices of this machine that an engine can be made on; looked for once in a process.</summary>
    public static IReadOnlyList<DeviceInfo> ListDevices() => DeviceCatalog.List();

    /// <summary>The device that a name means on this machine, and why. Parameters and errors as for the constructor.</summary>
    public static DeviceSelection SelectDevice(string device = DeviceCatalog.Auto)
    {
        ArgumentException.ThrowIfNullOrEmpty(device);
        return DeviceCatalog.Select(device, ListDevices());
    }

    /// <summary>Makes a tensor on the device. Its contents are undefined.</summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/>, <see cref="BFloat16"/> or <see cref="bool"/>.</typeparam>
    /// <param name="lengths">The length of each axis; each may be 0.</param>
    /// <exception cref="ArgumentException">A length is negative or over 2^31 - 1.</exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public DeviceTensor<T> CreateTensor<T>(params ReadOnlySpan<nint> lengths)
        where T : unmanaged
    {
        ThrowIfDisposed();
        return typeof(T) == typeof(float) || typeof(T) == typeof(Half) || typeof(T) == typeof(BFloat16) || typeof(T) == typeof(bool)
            ? new DeviceTensor<T>(this, lengths)
            : throw new NotSupportedException($"A device tensor holds float, Half, BFloat16 or bool elements, not {typeof(T)}.");
    }

    /// <summary>Makes a tensor on the device with the shape and contents of a host tensor.</summary>
    /// <inheritdoc cref="CreateTensor{T}(ReadOnlySpan{nint})"/>
    public DeviceTensor<T> CreateTensor<T>(in ReadOnlyTensorSpan<T> source)
        where T : unmanaged
    {
        DeviceTensor<T> tensor = CreateTensor<T>(source.Lengths);
        tensor.CopyFrom(source);
        return tensor;
    }

    /// <summary>Waits until all work that was started before has finished.</summary>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public void Synchronize()
    {
        ThrowIfDisposed();
        Backend.Synchronize();
    }

    /// <summary>Waits for the work in progress and frees the device. Later calls throw <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Backend.Dispose();
    }

    internal void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_disposed, this);

    internal void Execute(AttentionProblem problem, in AttentionBuffers buffers) =>
        _attentionPlans.Get(problem).Execute(buffers);

    internal void Execute(LinearProblem problem, in LinearBuffers buffers) => _linearPlans.Get(problem).Execute(buffers);

    internal void Execute(HeadTransform problem, in HeadTransformBuffers buffers) => _rowPlans.Get(problem).Execute(buffers);

    private static IAttentionBackend CreateBackend(string device, AttentionEngineOptions options)
    {
        options.Validate();
        return DeviceCatalog.CreateBackend(SelectDevice(device).Device, options);
    }

    internal DeviceMemory RequireMine(DeviceTensor tensor, string name) =>
        ReferenceEquals(tensor.Engine, this)
            ? tensor.Storage
            : throw new ArgumentException(
                $"The tensor '{name}' belongs to another engine (on {tensor.Engine.Device.Name}); it must be made by this one.", name);
}
