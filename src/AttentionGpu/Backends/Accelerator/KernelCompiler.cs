using System.Reflection;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Translates kernels into a device's language. Many threads may do so at once.</summary>
/// <remarks>
/// A context of ILGPU has one frontend: its threads wait for each other for most of a compilation, and what it keeps of intrinsic functions
/// is written without a lock. It keeps the intermediate code of every kernel as well, and how it optimises one depends on those before it.
/// So each compilation for a GPU has a context of its own, which goes with it: compilations share nothing, and a kernel has the same text
/// whatever is compiled before it or beside it.
/// </remarks>
internal sealed class KernelCompiler
{
    private readonly Func<Context, Backend>? _createBackend;
    private readonly OptimizationLevel _level;
    private readonly Backend? _shared;
    private readonly Lock _sharedLock = new();

    /// <param name="createBackend">Makes the compiler in a context without devices.</param>
    /// <param name="level">How much is optimised.</param>
    public KernelCompiler(Func<Context, Backend> createBackend, OptimizationLevel level)
    {
        _createBackend = createBackend;
        _level = level;
    }

    private KernelCompiler(Backend shared) => _shared = shared;

    /// <summary>The compiler for an accelerator, whoever made it. Of its context it takes how much is optimised.</summary>
    public static KernelCompiler For(ILGPU.Runtime.Accelerator accelerator)
    {
        OptimizationLevel level = accelerator.Context.Properties.OptimizationLevel;
        return accelerator switch
        {
            CudaAccelerator cuda => new KernelCompiler(
                context => new PTXBackend(context, cuda.Capabilities, cuda.Architecture, cuda.InstructionSet, nvvmAPI: null), level),
            CLAccelerator openCL => new KernelCompiler(
                context => new CLBackend(context, openCL.Capabilities, openCL.Vendor, openCL.CLStdVersion), level),

            // The emulator's compiler cannot be made without its threads, and they take longer than a kernel without optimisation.
            _ => new KernelCompiler(accelerator.GetBackend()),
        };
    }

    /// <summary>Compiles a kernel of one-dimensional groups.</summary>
    /// <param name="kernel">The kernel's method in one specialisation.</param>
    /// <param name="specialization">Limits of threads and registers, which CUDA devices alone have.</param>
    public CompiledKernel Compile(MethodInfo kernel, KernelSpecialization specialization = default)
    {
        if (_shared is not null)
        {
            lock (_sharedLock)
            {
                return Compile(_shared, kernel, default);
            }
        }

        using Context context = Context.Create(builder => builder.EnableAlgorithms().Optimize(_level));
        using Backend backend = _createBackend!(context);
        CompiledKernel compiled = Compile(backend, kernel, backend is PTXBackend ? specialization : default);
        KernelText.Renumber(compiled);
        return compiled;
    }

    // ILGPU's own cache of kernels holds, while it compiles, the lock that allocations take; so this goes past it.
    private static CompiledKernel Compile(Backend backend, MethodInfo kernel, KernelSpecialization specialization) =>
        backend.Compile(EntryPointDescription.FromExplicitlyGroupedKernel(kernel), specialization);
}
