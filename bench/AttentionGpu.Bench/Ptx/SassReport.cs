using System.Collections.Concurrent;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Kernels.Tests.Sass;

namespace AttentionGpu.Bench.Ptx;

/// <summary>What NVIDIA's assembler makes of the kernels, as tables for <c>bench/RESULTS.md</c>. No GPU is needed.</summary>
internal sealed class SassReport
{
    // H100: 132 multiprocessors of four schedulers, which issue a warp's instruction a cycle, at the 1.98 GHz that make its 67 TFLOP/s.
    private const double ThreadInstructions = 132 * 4 * 32 * 1.98e9;
    private const double Bandwidth = 3.35e12;

    private readonly ReportText _text = new();
    private readonly ConcurrentDictionary<string, AssembledKernel[]> _assembled = [];

    private SassReport(IReadOnlyDictionary<CountedKernel, string> ptx)
    {
        // Without a bound there are as many processes as threads that wait for one.
        Parallel.ForEach(ptx, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, pair =>
            _assembled[pair.Key.Name] = [.. GpuModel.All.Select(model => pair.Key.Assemble(pair.Value, model.Architecture))]);
    }

    /// <summary>Prints the tables.</summary>
    /// <param name="ptx">The kernels' texts.</param>
    /// <param name="folder">The folder of RESULTS.md, where they go too; null to print only.</param>
    public static void Run(IReadOnlyDictionary<CountedKernel, string> ptx, string? folder)
    {
        var report = new SassReport(ptx);
        report.Check(ptx.Keys);
        report.WriteProducts(ptx.Keys.Where(kernel => kernel.Products > 0));
        report.WriteRows(ptx.Keys.Where(kernel => kernel.Products == 0));
        if (folder is not null)
            report._text.Save(folder, "sass");
    }

    private static string Devices => string.Join(", ", GpuModel.All.Select(model => model.Name));

    // All kernels whose declared passes are not those of their loops, at once.
    private void Check(IEnumerable<CountedKernel> kernels)
    {
        List<string> faults = [];
        foreach (CountedKernel kernel in kernels)
        {
            try
            {
                KernelCount.Of(kernel, _assembled[kernel.Name][0]);
            }
            catch (InvalidOperationException exception)
            {
                faults.Add(exception.Message);
            }
        }

        if (faults.Count > 0)
            throw new InvalidOperationException(string.Join(Environment.NewLine, faults.Order(StringComparer.Ordinal)));
    }

    private void WriteProducts(IEnumerable<CountedKernel> kernels)
    {
        _text.Line($"ptxas {CudaTools.Version}. Each cell of four has {Devices}, for which the kernels are assembled as");
        string architectures = string.Join(", ", GpuModel.All.Select(model => model.Architecture));
        _text.Line($"{architectures}. Instructions are those of SM_80, for each `HMMA` of a warp or `FFMA` of a thread that the products need.");
        _text.Line("Bound: the cycles of the products over those of the busiest pipe, if pipes overlap perfectly.");
        _text.Line("");
        _text.Row(
            [
                "kernel", "whole group", "main loop", "outside of it, of all", "registers", "spilled bytes", "shared bytes",
                "resident groups", "bound", "busiest pipe",
            ],
            isHead: true);
        foreach (CountedKernel kernel in kernels)
        {
            AssembledKernel[] assembled = _assembled[kernel.Name];
            KernelCount[] counts = Array.ConvertAll(assembled, one => KernelCount.Of(kernel, one));
            KernelCount count = counts[0];
            (double Share, string Pipe)[] bounds = [.. GpuModel.All.Select((model, i) => model.Bound(counts[i].All, kernel.Products))];
            _text.Row([
                kernel.Name, Figures.Text((double)count.All.Total / kernel.Products, "F2"),
                Figures.Text((double)count.Main!.Total / count.MainProducts, "F2"), Figures.Text((double)count.Outside / count.All.Total, "P0"),
                .. Needs(kernel, assembled), Join(bounds.Select(bound => Figures.Text(bound.Share, "P0"))),
                Join(bounds.Select(bound => bound.Pipe)),
            ]);
        }
    }

    private void WriteRows(IEnumerable<CountedKernel> kernels)
    {
        _text.Line("");
        _text.Line("Kernels that should be bound by memory: a thread's instructions for an element on H100, from its start to its end, and");
        _text.Line("what share of 3.35 TB/s they leave time for at 1.98 GHz.");
        _text.Line("");
        _text.Row(
            ["kernel", "instructions", "bytes", "share of bandwidth", "registers", "spilled bytes", "shared bytes", "resident groups"],
            isHead: true);
        foreach (CountedKernel kernel in kernels)
        {
            AssembledKernel[] assembled = _assembled[kernel.Name];
            double instructions = KernelCount.Of(kernel, assembled[^1]).All.Total / kernel.Elements;
            double share = Math.Min(1, kernel.ElementBytes / Bandwidth / (instructions / ThreadInstructions));
            _text.Row([
                kernel.Name, Figures.Text(instructions, "F0"), Figures.Text(kernel.ElementBytes, "0.##"), Figures.Text(share, "P0"),
                .. Needs(kernel, assembled),
            ]);
        }
    }

    // Registers, spills, shared memory and resident groups.
    private static string[] Needs(CountedKernel kernel, AssembledKernel[] assembled) =>
    [
        Join(assembled.Select(one => $"{one.Resources.Registers}")), Join(assembled.Select(one => $"{one.Resources.SpillBytes}")),
        Join(assembled.Select(one => $"{one.Resources.SharedBytes}")),
        Join(GpuModel.All.Select((model, i) => $"{model.ResidentGroups(assembled[i].Resources, kernel.Threads)}")),
    ];

    // One word where all devices have the same.
    private static string Join(IEnumerable<string> cells)
    {
        string[] all = [.. cells];
        return string.Join(", ", all.Distinct().Count() == 1 ? all.Take(1) : all);
    }
}
