using System.Reflection;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>Compiles kernels to PTX without a GPU.</summary>
internal static class PtxCompiler
{
    /// <summary>Turing, Ampere and Hopper.</summary>
    public static IReadOnlyList<CudaArchitecture> Architectures { get; } = [CudaArchitecture.SM_75, CudaArchitecture.SM_80, CudaArchitecture.SM_90];

    /// <summary>The kernel for each of <see cref="Architectures"/>.</summary>
    public static IReadOnlyList<string> CompileAll(MethodInfo kernel, params Type[] arguments)
    {
        using Context context = CreateContext();
        return [.. Architectures.Select(architecture => Compile(context, architecture, kernel, arguments))];
    }

    public static string Compile(CudaArchitecture architecture, MethodInfo kernel, params Type[] arguments)
    {
        using Context context = CreateContext();
        return Compile(context, architecture, kernel, arguments);
    }

    private static Context CreateContext() => Context.Create(builder => builder.EnableAlgorithms().Optimize(OptimizationLevel.O2));

    private static string Compile(Context context, CudaArchitecture architecture, MethodInfo kernel, Type[] arguments)
    {
        using var backend = new PTXBackend(context, architecture, CudaInstructionSet.ISA_80, null!);
        var compiled = (PTXCompiledKernel)backend.Compile(
            EntryPointDescription.FromExplicitlyGroupedKernel(arguments.Length == 0 ? kernel : kernel.MakeGenericMethod(arguments)), PtxKernels.Specialization(kernel, arguments));
        return compiled.PTXAssembly;
    }
}
