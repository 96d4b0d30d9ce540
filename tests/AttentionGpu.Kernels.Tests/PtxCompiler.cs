using System.Reflection;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests;

/// <summary>Compiles kernels to PTX without a GPU.</summary>
internal static class PtxCompiler
{
    public static string Compile(MethodInfo kernel, params Type[] arguments)
    {
        using Context context = Context.Create(builder => builder.EnableAlgorithms().Optimize(OptimizationLevel.O2));
        using var backend = new PTXBackend(context, CudaArchitecture.SM_80, CudaInstructionSet.ISA_80, null!);
        var compiled = (PTXCompiledKernel)backend.Compile(
            EntryPointDescription.FromExplicitlyGroupedKernel(kernel.MakeGenericMethod(arguments)), new KernelSpecialization());
        return compiled.PTXAssembly;
    }
}
