using System.Reflection;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Processor;
using AttentionGpu.Kernels.Tests.Ptx;
using AttentionGpu.Kernels.Tiled.Reductions;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.OpenCL;
using ILGPU.Runtime;

namespace AttentionGpu.Bench.Kernels;

/// <summary>The OpenCL C that ILGPU makes of the kernels for a device, as files to read.</summary>
internal static class KernelSources
{
    /// <summary>Writes a file a kernel.</summary>
    /// <param name="device">An OpenCL device.</param>
    /// <param name="folder">Where the files go.</param>
    public static void Write(string device, string folder)
    {
        using Context context = AcceleratorDevices.CreateContext(device);
        using Accelerator accelerator = AcceleratorDevices.Find(context, device).CreateAccelerator(context);
        if (accelerator.AcceleratorType != AcceleratorType.OpenCL)
            throw new ArgumentException($"'{device}' is no OpenCL device.", nameof(device));
        Directory.CreateDirectory(folder);
        foreach ((string name, MethodInfo kernel, Type[] arguments) in Kernels())
        {
            MethodInfo method = kernel.IsGenericMethodDefinition ? kernel.MakeGenericMethod(arguments) : kernel;
            var compiled = (CLCompiledKernel)accelerator.CompileKernel(EntryPointDescription.FromExplicitlyGroupedKernel(method), new KernelSpecialization());
            string path = Path.Combine(folder, name + ".cl");
            File.WriteAllText(path, compiled.Source);
            Console.WriteLine($"{path}: {compiled.Source.AsSpan().Count('\n')} lines");
        }
    }

    private static IEnumerable<(string Name, MethodInfo Kernel, Type[] Arguments)> Kernels()
    {
        foreach (Type element in PtxKernels.Elements)
        {
            yield return (
                $"attention-{element.Name}", PtxKernels.Attention,
                [PtxKernels.AttentionTiles[1].Tile, PtxKernels.AttentionTiles[1].Values, typeof(SharedRowReduction), element,
                    PtxKernels.Rows(element), typeof(CausalRange),
                    typeof(NoVariant)]);
            yield return (
                $"attention-processor-{element.Name}",
                typeof(ProcessorAttentionKernel).GetMethod(nameof(ProcessorAttentionKernel.Forward))!,
                [element, typeof(CausalRange), typeof(NoVariant)]);
            yield return ($"pack-{element.Name}", typeof(PanelKernel).GetMethod(nameof(PanelKernel.Pack))!, [PtxKernels.Rows(element)]);
            yield return (
                $"matmul-{element.Name}", PtxKernels.Matmul,
                [PtxKernels.MatmulTiles[0], PtxKernels.Rows(element), PtxKernels.Rows(element), element,
                    typeof(RowLayout), typeof(ScaleEpilogue)]);
            yield return (
                $"matmul-processor-{element.Name}", typeof(ProcessorMatmulKernel).GetMethod(nameof(ProcessorMatmulKernel.Multiply))!,
                [element, typeof(RowLayout), typeof(ScaleEpilogue)]);
        }
    }
}
