using System.Reflection;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Heads;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore;
using AttentionGpu.Kernels.Tests.Ptx;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Softmax;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Bench.Ptx;

/// <summary>What ILGPU makes of every kernel for SM_80, and the floor under its time on two devices. No GPU is needed; <c>ptxas</c> is used where it is.</summary>
internal static class PtxReport
{
    private static readonly (string Name, double Single, double Tensor, double Bandwidth)[] _devices =
        [("H100", 67e12, 989e12, 3.35e12), ("A10", 31.2e12, 125e12, 0.6e12)];

    /// <summary>Prints the tables, and writes each kernel's PTX into a file of its own.</summary>
    /// <param name="folder">Where the files go; null for none.</param>
    public static void Run(string? folder)
    {
        if (folder is not null)
            Directory.CreateDirectory(folder);
        Console.WriteLine("| kernel | registers alive | shared bytes | hot loops: multiply-adds / shared loads | mma / ldmatrix | local in a loop | ptxas |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach ((string name, MethodInfo kernel, Type[] arguments) in Kernels())
        {
            string ptx = PtxCompiler.Compile(CudaArchitecture.SM_80, kernel, arguments);
            Console.WriteLine(Row(name, ptx));
            if (folder is not null)
                File.WriteAllText(Path.Combine(folder, FileName(name)), ptx);
        }

        Console.WriteLine();
        Console.WriteLine("| problem | operations | bytes | H100: arithmetic, memory | A10: arithmetic, memory |");
        Console.WriteLine("|---|---|---|---|---|");
        foreach ((int batch, int heads, int length, int size) in new[] { (1, 12, 1024, 64), (8, 32, 4096, 128) })
        {
            double operations = 4.0 * batch * heads * length * length * size;
            double elements = 4.0 * batch * heads * length * size;
            Console.WriteLine(Floor($"attention, {batch} x {heads} x {length} x {size}, float32", operations, 4 * elements, tensor: false));
            Console.WriteLine(Floor($"attention, {batch} x {heads} x {length} x {size}, float16", operations, 2 * elements, tensor: true));
        }

        const double side = 4096;
        Console.WriteLine(Floor("product, 4096 x 4096 x 4096, float32", 2 * side * side * side, 3 * 4 * side * side, tensor: false));
    }

    private static IEnumerable<(string Name, MethodInfo Kernel, Type[] Arguments)> Kernels()
    {
        foreach ((Type tile, Type values) in PtxKernels.AttentionTiles)
        {
            foreach (Type element in PtxKernels.Elements)
            {
                yield return (
                    $"attention, {tile.Name}, {(values.IsGenericType ? "two groups" : "one group")} of values, {element.Name}", PtxKernels.Attention,
                    [tile, values, typeof(WarpRowReduction), element, PtxKernels.Rows(element), typeof(CausalRange), typeof(NoVariant)]);
            }
        }

        foreach (Type tile in PtxKernels.MatmulTiles)
        {
            yield return (
                $"matmul, {tile.Name}", PtxKernels.Matmul,
                [
                    tile, PtxKernels.Rows(typeof(SingleElement)), PtxKernels.Rows(typeof(SingleElement)), typeof(SingleElement),
                    typeof(HeadLayout),
                    typeof(BiasEpilogue<SingleElement>),
                ]);
        }

        foreach (Type element in new[] { typeof(HalfTensorCore), typeof(BFloat16TensorCore) })
        {
            foreach (Type size in new[] { typeof(TensorCoreSize64), typeof(TensorCoreSize128) })
                yield return (
                    $"attention, {element.Name}, {size.Name}", PtxKernels.TensorAttention,
                    PtxKernels.TensorArguments(element, size, typeof(CausalRange)));
            yield return ($"matmul, {element.Name}", PtxKernels.TensorMatmul, [element]);
        }

        Type scores = typeof(MaskedSoftmaxKernel);
        yield return ("softmax of scores", scores.GetMethod(nameof(MaskedSoftmaxKernel.Normalize))!, [typeof(CausalRange), typeof(NoVariant)]);
        yield return ("scores into their tensor", scores.GetMethod(nameof(MaskedSoftmaxKernel.Store))!, [typeof(NativeHalfElement), typeof(CausalRange), typeof(NoVariant)]);
        yield return ("mean of the heads' weights", typeof(AverageHeadsKernel).GetMethod(nameof(AverageHeadsKernel.Average))!, [typeof(NativeHalfElement)]);
        yield return ("rows: norm and rotary embedding", typeof(HeadTransformKernel).GetMethod(nameof(HeadTransformKernel.Transform))!,
            [typeof(SingleElement), PtxKernels.Rows(typeof(SingleElement))]);
    }

    private static string FileName(string kernel) =>
        string.Join('-', kernel.Split([' ', ',', ':'], StringSplitOptions.RemoveEmptyEntries)) + ".ptx";

    private static string Row(string name, string ptx)
    {
        var program = new PtxProgram(ptx);
        PtxLoop[] loops = [.. PtxLoop.Find(ptx)];
        IEnumerable<string> hot = loops.Where(loop => loop.MultiplyAdds >= 32 && loop.SharedLoads > 0)
            .Select(loop => $"{loop.MultiplyAdds} / {loop.SharedLoads}");
        PtxLoop? keys = PtxLoop.FindProducts(ptx);
        string tensor = keys is not null ? $"{keys.Count("mma.")} / {keys.Count("ldmatrix.")}" : "";
        int local = PtxLoop.FindOutermost(ptx).Sum(loop => loop.Instructions.Count(line => line.Contains(".local", StringComparison.Ordinal)));
        return $"| {name} | {PtxRegisters.Estimate(program)} | {program.SharedBytes} | {string.Join("; ", hot)} | {tensor} | {local} | {PtxAssembler.Describe(ptx, "sm_80")} |";
    }

    private static string Floor(string problem, double operations, double bytes, bool tensor)
    {
        IEnumerable<string> cells = _devices.Select(device =>
        {
            double arithmetic = operations / (tensor ? device.Tensor : device.Single) * 1e6;
            double memory = bytes / device.Bandwidth * 1e6;
            return $"{Figures.Text(arithmetic, "F1")} us, {Figures.Text(memory, "F1")} us: {(arithmetic > memory ? "arithmetic" : "memory")}";
        });
        return $"| {problem} | {Figures.Text(operations / 1e9, "F1")} G | {Figures.Text(bytes / 1e6, "F1")} M | {string.Join(" | ", cells)} |";
    }
}
