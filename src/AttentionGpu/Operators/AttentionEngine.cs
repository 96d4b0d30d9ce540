using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Backends;
using AttentionGpu.Devices;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;
using ILGPU.Runtime;

namespace AttentionGpu;

/// <summary>
/// Runs attention on one device. Owns the device's context and its pool of memory. All members may be called from many threads at once.
/// Calls with host tensors return when their outputs are written; calls with <see cref="DeviceTensor"/> arguments may return while the
/// device still works, and whatever is called next waits its turn.
/// </summary>
public sealed partial class AttentionEngine : IDisposable
{
    private readonly IBackend _backend;
    private readonly PlanCache _plans;

    /// <summary>An engine on a device.</summary>
    /// <param name="device">
    /// A name from <see cref="ListDevices"/> in any case, or <c>auto</c>: the device that the environment variable
    /// <c>ATTENTION_DEVICE</c> names, else the first CUDA device, else the first OpenCL GPU, else <c>simd</c>.
    /// </param>
    /// <param name="options">How it uses the device; null for the defaults.</param>
    /// <exception cref="ArgumentException">There is no such device; nothing falls back silently.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    /// <exception cref="InvalidOperationException">The device's driver refuses to work.</exception>
    public AttentionEngine(string device = DeviceCatalog.Auto, AttentionEngineOptions? options = null)
        : this(CreateBackend(device, options ?? AttentionEngineOptions.Default)) =>
        IsBatchInvariant = options?.BatchInvariant ?? false;

    /// <summary>
    /// An engine on an ILGPU accelerator of the caller's, for a service that has its data on the device already (<c>Over</c>). Work goes
    /// to the
    /// accelerator's default stream. The engine does not dispose of the accelerator, which must outlive it.
    /// </summary>
    /// <param name="accelerator">The accelerator; its context must have been made with <c>EnableAlgorithms()</c>.</param>
    /// <param name="options">How the engine uses the device; null for the defaults.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    public AttentionEngine(Accelerator accelerator, AttentionEngineOptions? options = null)
        : this(CreateBackend(accelerator, options ?? AttentionEngineOptions.Default)) =>
        IsBatchInvariant = options?.BatchInvariant ?? false;

    internal AttentionEngine(IBackend backend)
    {
        _backend = backend;
        _plans = new PlanCache(backend.Operators);
        Lifetime = new EngineLifetime(this, backend.Memory);
    }

    /// <summary>The device that the engine runs on.</summary>
    public DeviceInfo Device => _backend.Device;

    /// <summary>Bytes of device tensors, layers' parameters and running calls.</summary>
    public long MemoryInUse => _backend.Memory.BytesInUse;

    /// <summary>Whether every call is batch-invariant.</summary>
    internal bool IsBatchInvariant { get; init; }

    internal EngineLifetime Lifetime { get; }

    internal IOperators Operators => _backend.Operators;

    /// <summary>
    /// All devices of this machine, those that their drivers have but no engine can use included: these say why in
    /// <see cref="DeviceInfo.Problem"/>. They are looked for once in a process.
    /// </summary>
    public static IReadOnlyList<DeviceInfo> ListDevices() => DeviceCatalog.List();

    /// <summary>The device that a name means on this machine, and why. Parameters and errors as for the constructor.</summary>
    public static DeviceSelection SelectDevice(string device = DeviceCatalog.Auto)
    {
        ArgumentException.ThrowIfNullOrEmpty(device);
        return DeviceCatalog.Select(device, ListDevices());
    }

    /// <summary>Makes a cache of keys and values on the device.</summary>
    /// <param name="options">Its sizes, and how it keeps keys and values.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public KeyValueCache CreateCache(KeyValueCacheOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        using var call = new CallMemory(Lifetime);
        return new KeyValueCache(Lifetime, options);
    }

    /// <summary>Makes a tensor on the device. Its contents are undefined.</summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/>, <see cref="BFloat16"/> or <see cref="bool"/>.</typeparam>
    /// <param name="lengths">The length of each axis; each may be 0.</param>
    /// <exception cref="ArgumentException">A length is negative or over 2^31 - 1.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory.</exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public DeviceTensor<T> CreateTensor<T>(params ReadOnlySpan<nint> lengths)
        where T : unmanaged
    {
        using var call = new CallMemory(Lifetime);
        RequireElement<T>();
        ShapeRules.RequireCounts(lengths, nameof(lengths));
        long bytes = checked(ShapeRules.Count(lengths) * Unsafe.SizeOf<T>());
        return new DeviceTensor<T>(SharedMemory.Rent(Lifetime, bytes), lengths);
    }

    /// <summary>Makes a tensor on the device with the shape and contents of a host tensor.</summary>
    /// <inheritdoc cref="CreateTensor{T}(ReadOnlySpan{nint})"/>
    public DeviceTensor<T> CreateTensor<T>(in ReadOnlyTensorSpan<T> source)
        where T : unmanaged
    {
        DeviceTensor<T> tensor = CreateTensor<T>(source.Lengths);
        try
        {
            tensor.CopyFrom(source);
        }
        catch
        {
            tensor.Dispose();
            throw;
        }

        return tensor;
    }

    /// <summary>Waits until all work that was started before has finished.</summary>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public void Synchronize()
    {
        using var call = new CallMemory(Lifetime);
        _backend.Memory.Synchronize();
    }

    /// <summary>
    /// Gives memory that the engine keeps for coming calls back to the system or the device. Tensors, layers and running calls keep
    /// theirs. The next calls allocate again.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public void ReleaseUnusedMemory()
    {
        using var call = new CallMemory(Lifetime);
        _backend.Memory.ReleaseUnused();
    }

    /// <summary>
    /// Waits for the calls in progress, on other threads too, and frees the device. Later calls throw
    /// <see cref="ObjectDisposedException"/>.
    /// </summary>
    public void Dispose()
    {
        if (Lifetime.Close())
            _backend.Dispose();
    }

    /// <summary>Whether the plan of a signature has been made.</summary>
    internal bool HasPlan<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct => _plans.Has<TSignature, TExtent, TBuffers>(signature);

    /// <summary>The plan of a signature, made once.</summary>
    internal IPlan<TExtent, TBuffers> Plan<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct => _plans.Get<TSignature, TExtent, TBuffers>(signature);

    private static void RequireElement<T>()
    {
        if (typeof(T) != typeof(float) && typeof(T) != typeof(Half) && typeof(T) != typeof(BFloat16) && typeof(T) != typeof(bool))
            throw new NotSupportedException($"A device tensor holds float, Half, BFloat16 or bool elements, not {typeof(T)}.");
    }

    private static IBackend CreateBackend(Accelerator accelerator, AttentionEngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(accelerator);
        options.Validate();
        return DeviceCatalog.CreateBackend(accelerator, options);
    }

    private static IBackend CreateBackend(string device, AttentionEngineOptions options)
    {
        options.Validate();
        return DeviceCatalog.CreateBackend(SelectDevice(device).Device, options);
    }
}
