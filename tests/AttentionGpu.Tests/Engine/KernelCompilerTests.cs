using System.Reflection;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tests.Ptx;
using AttentionGpu.Kernels.Tiled.Reductions;
using ILGPU;
using ILGPU.Backends.PTX;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Tests.Engine;

/// <summary>CUDA texts of kernels that are compiled one after another, and at the same time.</summary>
public class KernelCompilerTests
{
    [Fact]
    public void A_kernel_has_the_same_text_after_others_and_beside_others()
    {
        MethodInfo[] kernels =
        [
            Matmul(typeof(SingleElement)), Matmul(typeof(HalfElement)), Matmul(typeof(BFloat16Element)),
            PtxKernels.Attention.MakeGenericMethod(
                PtxKernels.AttentionTiles[0].Tile, PtxKernels.AttentionTiles[0].Values, typeof(SharedRowReduction), typeof(HalfElement),
                PtxKernels.Rows(typeof(HalfElement)), typeof(CausalRange), typeof(NoVariant)),
        ];
        var compiler = new KernelCompiler(
            context => new PTXBackend(context, CudaArchitecture.SM_80, CudaInstructionSet.ISA_80, null!), OptimizationLevel.O2);
        string[] alone = [.. kernels.Select(Text)];
        Assert.Distinct(alone);
        var beside = new string[kernels.Length];
        Parallel.For(
            0, kernels.Length, new ParallelOptions { MaxDegreeOfParallelism = kernels.Length },
            i => beside[^(i + 1)] = Text(kernels[^(i + 1)]));
        Assert.Equal(alone, beside);

        string Text(MethodInfo kernel) => ((PTXCompiledKernel)compiler.Compile(kernel)).PTXAssembly;
    }

    [Fact]
    public void Names_are_numbered_in_the_order_of_the_text_and_nothing_else_is_changed() => Assert.Equal(
        ".target sm_80\n\t.param .b32 _shape_0, _shape_1;\n\tmov.b32 %r_x, [_shape_0+12];\n"
            + "L_2:\n\t@%p2 bra.uni\tL_2;\n#pragma OPENCL cl_x_3\n",
        KernelText.Renumber(
            ".target sm_80\n\t.param .b32 _shape_71, _shape_1;\n\tmov.b32 %r_x, [_shape_71+12];\n"
                + "L_9315:\n\t@%p2 bra.uni\tL_9315;\n#pragma OPENCL cl_x_3\n"));

    private static MethodInfo Matmul(Type element) => PtxKernels.Matmul.MakeGenericMethod(
        PtxKernels.MatmulTiles[1], PtxKernels.Rows(element), PtxKernels.Rows(element), element, typeof(RowLayout), typeof(ScaleEpilogue));
}
