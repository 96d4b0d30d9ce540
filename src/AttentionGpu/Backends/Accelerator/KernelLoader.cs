using System.Collections.Concurrent;
using System.Reflection;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Compiles kernels once for each specialisation, and gives plans what they need to launch them.</summary>
internal sealed class KernelLoader(ILGPU.Runtime.Accelerator accelerator, AcceleratorGate gate, TileChoice tiles, AcceleratorProbe probe)
{
    private readonly ConcurrentDictionary<MethodInfo, Delegate> _launchers = new();
    private readonly Lock _compilation = new();

    public ILGPU.Runtime.Accelerator Accelerator => accelerator;

    public AcceleratorStream Stream => accelerator.DefaultStream;

    public TileChoice Tiles => tiles;

    /// <summary>Takes the gate, which every launch holds.</summary>
    /// <exception cref="ObjectDisposedException">The engine has been disposed.</exception>
    public AcceleratorGate.Scope Enter() => gate.Enter();

    /// <summary>Calls the visitor with the struct of an element type that the device converts best.</summary>
    public TResult Visit<TResult>(ElementType element, IElementVisitor<TResult> visitor) =>
        element == ElementType.Float16 && tiles.HasNativeHalf ? visitor.Visit<NativeHalfElement>() : element.Visit(visitor);

    /// <summary>
    /// The launcher of a kernel of one-dimensional groups, compiled once. One thread compiles at a time, while others launch what is
    /// compiled already.
    /// </summary>
    /// <typeparam name="TLauncher">An action of a stream, a <see cref="KernelConfig"/> and the kernel's parameters.</typeparam>
    /// <param name="kernel">The kernel's method in one specialisation.</param>
    /// <param name="specialization">Limits of threads and registers, always the same for a kernel; of CUDA devices alone.</param>
    /// <exception cref="ObjectDisposedException">The engine has been disposed.</exception>
    public TLauncher Load<TLauncher>(Delegate kernel, KernelSpecialization specialization = default)
        where TLauncher : Delegate
    {
        if (_launchers.TryGetValue(kernel.Method, out Delegate? known))
            return (TLauncher)known;
        using AcceleratorGate.Scope open = gate.KeepOpen();
        lock (_compilation)
        {
            return (TLauncher)_launchers.GetOrAdd(kernel.Method, method => Compile<TLauncher>(method, specialization));
        }
    }

    /// <summary>A launch of one-dimensional groups. A device counts groups in 32 bits.</summary>
    /// <exception cref="NotSupportedException">The problem needs more groups than that.</exception>
    public static KernelConfig Groups(long groups, int threads) =>
        groups <= int.MaxValue
            ? new KernelConfig((int)groups, threads)
            : throw new NotSupportedException(
                $"The problem needs {groups:N0} thread groups in one launch; a device takes at most {int.MaxValue:N0}. Split the batch.");

    // ILGPU's own cache of kernels holds, while it compiles, the lock that allocations take; so this goes past it.
    private TLauncher Compile<TLauncher>(MethodInfo kernel, KernelSpecialization specialization)
        where TLauncher : Delegate
    {
        probe.Compiling?.Invoke();
        accelerator.Bind();
        CompiledKernel compiled = accelerator.GetBackend().Compile(
            EntryPointDescription.FromExplicitlyGroupedKernel(kernel),
            accelerator.AcceleratorType == AcceleratorType.Cuda ? specialization : KernelSpecialization.Empty);
        return accelerator.LoadKernel(compiled).CreateLauncherDelegate<TLauncher>();
    }
}
