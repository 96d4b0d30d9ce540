using System.Collections.Concurrent;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Compiles kernels once for each specialisation, and gives plans what they need to launch them.</summary>
internal sealed class KernelLoader(ILGPU.Runtime.Accelerator accelerator, Lock gate, TileChoice tiles)
{
    private readonly ConcurrentDictionary<Type, Delegate> _launchers = new();

    public ILGPU.Runtime.Accelerator Accelerator => accelerator;

    public AcceleratorStream Stream => accelerator.DefaultStream;

    /// <summary>Set, under the gate, when the accelerator is about to go.</summary>
    public bool IsDisposed { get; set; }

    public TileChoice Tiles => tiles;

    /// <summary>Takes the gate, which every launch holds.</summary>
    /// <exception cref="ObjectDisposedException">The engine has been disposed.</exception>
    public Lock.Scope Enter()
    {
        Lock.Scope scope = gate.EnterScope();
        if (!IsDisposed)
            return scope;
        scope.Dispose();
        throw new ObjectDisposedException(typeof(AttentionEngine).FullName);
    }

    /// <summary>
    /// The launcher that <paramref name="load"/> makes, made once. <typeparamref name="TKernel"/> is a type that stands for the
    /// specialisation: the generic plan that launches it.
    /// </summary>
    public TLauncher Load<TKernel, TLauncher>(Func<ILGPU.Runtime.Accelerator, TLauncher> load)
        where TLauncher : Delegate =>
        (TLauncher)_launchers.GetOrAdd(typeof(TKernel), _ => load(accelerator));

    /// <summary>A launch of one-dimensional groups. A device counts groups in 32 bits.</summary>
    /// <exception cref="NotSupportedException">The problem needs more groups than that.</exception>
    public static KernelConfig Groups(long groups, int threads) =>
        groups <= int.MaxValue
            ? new KernelConfig((int)groups, threads)
            : throw new NotSupportedException(
                $"The problem needs {groups:N0} thread groups in one launch; a device takes at most {int.MaxValue:N0}. Split the batch.");
}
