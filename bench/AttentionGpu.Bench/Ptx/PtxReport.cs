using AttentionGpu.Bench.Peers;
using AttentionGpu.Kernels.Tests.Ptx;
using AttentionGpu.Kernels.Tests.Sass;
using AttentionGpu.Tests.Shared;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Bench.Ptx;

/// <summary>What ILGPU makes of every kernel for SM_80, and the floor under its time on two devices. No GPU is needed.</summary>
internal static class PtxReport
{
    private static readonly (string Name, double Single, double Tensor, double Bandwidth)[] _devices =
        [("H100", 67e12, 989e12, 3.35e12), ("A10", 31.2e12, 125e12, 0.6e12)];

    /// <summary>
    /// Prints the tables, and writes each kernel's PTX into a file of its own. Where the assembler is, its tables follow, and go into
    /// <c>bench/RESULTS.md</c>.
    /// </summary>
    /// <param name="folder">Where the files go; null to print only.</param>
    public static void Run(string? folder)
    {
        if (folder is not null)
            Directory.CreateDirectory(folder);
        Console.WriteLine(
            "| kernel | registers alive | shared bytes | hot loops: multiply-adds / shared loads | mma / ldmatrix | local in a loop |");
        Console.WriteLine("|---|---|---|---|---|---|");
        var texts = new Dictionary<CountedKernel, string>();
        foreach (CountedKernel kernel in CountedKernels.Products.Concat(CountedKernels.Rows))
        {
            string ptx = kernel.Compile(CudaArchitecture.SM_80);
            texts.Add(kernel, ptx);
            Console.WriteLine(Row(kernel.Name, ptx));
            if (folder is not null)
                File.WriteAllText(Path.Combine(folder, kernel.FileName), ptx);
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
        Console.WriteLine();
        if (CudaTools.Version is null)
            Console.WriteLine("ptxas and nvdisasm are not on the path: bench/cuda-tools fetches them.");
        else
            SassReport.Run(texts, folder is null ? null : Repository.PathOf("bench"));
    }

    private static string Row(string name, string ptx)
    {
        var program = new PtxProgram(ptx);
        PtxLoop[] loops = [.. PtxLoop.Find(ptx)];
        IEnumerable<string> hot = loops.Where(loop => loop.MultiplyAdds >= 32 && loop.SharedLoads > 0)
            .Select(loop => $"{loop.MultiplyAdds} / {loop.SharedLoads}");
        PtxLoop? keys = PtxLoop.FindProducts(ptx);
        string tensor = keys is not null ? $"{keys.Count("mma.")} / {keys.Count("ldmatrix.")}" : "";
        int local = PtxLoop.FindOutermost(ptx).Sum(loop => loop.Instructions.Count(line => line.Contains(".local", StringComparison.Ordinal)));
        return $"| {name} | {PtxRegisters.Estimate(program)} | {program.SharedBytes} | {string.Join("; ", hot)} | {tensor} | {local} |";
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
