using System.Collections.Concurrent;
using System.Reflection;
using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Compiles kernels once for each specialisation, and gives plans what they need to launch them.</summary>
internal sealed class KernelLoader(ILGPU.Runtime.Accelerator accelerator, AcceleratorGate gate, TileChoice tiles, AcceleratorProbe probe)
    : IDisposable
{
    // A compilation takes 150 to 200 MB while it lasts: on a host with many cores they would take tens of gigabytes.
    private const int MaxCompilations = 8;

    private readonly ConcurrentDictionary<MethodInfo, Lazy<Delegate>> _launchers = new();
    private readonly SemaphoreSlim _compilations = new(Compilations);
    private readonly KernelCompiler _compiler = KernelCompiler.For(accelerator);

    // Null where the device has no tensor cores.
    private readonly TextLoader? _texts = (probe.Texts, accelerator) switch
    {
        ({ } device, _) => new TextLoader(device, gate, probe),
        (null, CudaAccelerator cuda) when tiles.HasTensorCores => new TextLoader(new CudaTextDevice(cuda), gate, probe),
        _ => null,
    };

    /// <summary>How many kernels are compiled at once.</summary>
    public static int Compilations => Math.Min(Environment.ProcessorCount, MaxCompilations);

    public ILGPU.Runtime.Accelerator Accelerator => accelerator;

    public AcceleratorStream Stream => accelerator.DefaultStream;

    public TileChoice Tiles => tiles;

    /// <summary>Loads the texts of a device with tensor cores.</summary>
    public TextLoader Texts => _texts ?? throw new InvalidOperationException("The device has no tensor cores.");

    /// <summary>Takes the gate, which every launch holds.</summary>
    /// <exception cref="ObjectDisposedException">The engine has been disposed.</exception>
    public AcceleratorGate.Scope Enter() => gate.Enter();

    /// <summary>Calls the visitor with the struct of an element type that the device converts best.</summary>
    public TResult Visit<TResult>(ElementType element, IElementVisitor<TResult> visitor) =>
        element == ElementType.Float16 && tiles.HasNativeHalf ? visitor.Visit<NativeHalfElement>() : element.Visit(visitor);

    /// <summary>
    /// The launcher of a kernel of one-dimensional groups, compiled once. Threads compile different kernels at the same time, while others
    /// launch; those that need the same kernel wait for the first of them, and all get its exception if it fails. The next one tries again.
    /// </summary>
    /// <typeparam name="TLauncher">An action of a stream, a <see cref="KernelConfig"/> and the kernel's parameters.</typeparam>
    /// <param name="kernel">The kernel's method in one specialisation.</param>
    /// <param name="specialization">Limits of threads and registers, always the same for a kernel; of CUDA devices alone.</param>
    /// <exception cref="ObjectDisposedException">The engine has been disposed.</exception>
    public TLauncher Load<TLauncher>(Delegate kernel, KernelSpecialization specialization = default)
        where TLauncher : Delegate
    {
        MethodInfo method = kernel.Method;
        if (_launchers.TryGetValue(method, out Lazy<Delegate>? known) && known.IsValueCreated)
            return (TLauncher)known.Value;
        using AcceleratorGate.Scope open = gate.KeepOpen();
        Lazy<Delegate> launcher = _launchers.GetOrAdd(method, key => new Lazy<Delegate>(() => Compile<TLauncher>(key, specialization)));
        try
        {
            return (TLauncher)launcher.Value;
        }
        catch
        {
            _launchers.TryRemove(KeyValuePair.Create(method, launcher));
            throw;
        }
    }

    /// <summary>A launch of one-dimensional groups.</summary>
    /// <exception cref="NotSupportedException">The problem needs too many.</exception>
    public static KernelConfig Groups(long groups, int threads) => new(GroupCount(groups), threads);

    /// <summary>The groups of a launch: a device counts them in 32 bits.</summary>
    /// <exception cref="NotSupportedException">The problem needs more than that.</exception>
    public static int GroupCount(long groups) =>
        groups <= int.MaxValue
            ? (int)groups
            : throw new NotSupportedException(
                $"The problem needs {groups:N0} thread groups in one launch; a device takes at most {int.MaxValue:N0}. Split the batch.");

    /// <summary>When the gate is closed: nobody compiles any more.</summary>
    public void Dispose()
    {
        _compilations.Dispose();
        _texts?.Dispose();
    }

    // Drivers load modules from many threads; ILGPU makes the launcher under a lock of its own.
    private TLauncher Compile<TLauncher>(MethodInfo kernel, KernelSpecialization specialization)
        where TLauncher : Delegate
    {
        _compilations.Wait();
        try
        {
            probe.Compiling?.Invoke();
            CompiledKernel compiled = _compiler.Compile(kernel, specialization);
            return accelerator.LoadKernel(compiled).CreateLauncherDelegate<TLauncher>();
        }
        finally
        {
            _compilations.Release();
        }
    }
}
