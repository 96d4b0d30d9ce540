using System.Collections.Concurrent;
using System.Globalization;
using System.Text.RegularExpressions;
using AttentionGpu.Tests.Support;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>
/// What NVIDIA's assembler makes of the kernels, where it is on the path: no spills, no more instructions and no fewer groups at once than
/// there were.
/// </summary>
public partial class AssembledKernelTests
{
    private const string Oldest = "sm_75";

    // A kernel takes seconds to compile and to assemble for all devices. float16 and float32 are what most callers have.
    private const int DrawnKernels = 6;

    private static readonly string[] _always =
    [
        "attention, tensor cores, head size 64, float16, all keys", "attention, tensor cores, head size 128, float16, causal",
        "product, tensor cores, 128 x 128, float16", "attention, tile 8x16, head size 64, float32, all keys", "product, tile 16x16, float32",
    ];

    [Fact]
    public void Kernels_assemble_without_spills_and_keep_their_ceilings()
    {
        SkipWithoutAssembler();
        bool isKnown = CudaTools.Version == KernelCeilings.Version;
        var faults = new ConcurrentBag<string>();
        var lines = new ConcurrentBag<string>();
        Parallel.ForEach(Drawn(), new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, kernel =>
        {
            string ptx = kernel.Compile(CudaArchitecture.SM_80);
            foreach (string fault in Faults(kernel, ptx, kernel.Products > 0 && isKnown ? KernelCeilings.Of(kernel) : null, lines))
                faults.Add($"{kernel.Name}: {fault}");
        });
        foreach (string line in lines.Order(StringComparer.Ordinal))
            TestContext.Current.TestOutputHelper?.WriteLine(line);
        Assert.Empty(faults);
    }

    [Fact]
    public void Every_product_has_one_ceiling() => Assert.All(CountedKernels.Products, kernel => KernelCeilings.Of(kernel));

    [Fact]
    public void Names_of_kernels_and_files_are_different()
    {
        CountedKernel[] all = [.. CountedKernels.Products, .. CountedKernels.Rows];
        Assert.Equal(all.Length, all.Select(kernel => kernel.FileName).Distinct(StringComparer.OrdinalIgnoreCase).Count());
        Assert.All(_always, name => Assert.Single(all, kernel => kernel.Name == name));
    }

    [Fact]
    public void A_spill_too_many_instructions_and_too_few_groups_are_faults()
    {
        SkipWithoutAssembler();
        CountedKernel kernel = CountedKernels.Products.Single(kernel => kernel.Name == _always[0]);
        string ptx = kernel.Compile(CudaArchitecture.SM_80);
        Assert.Empty(Faults(kernel, ptx, null, []));
        Assert.Contains(Faults(kernel, ptx.Replace("\n{", "\n.maxnreg 40\n{", StringComparison.Ordinal), null, []), IsOf("spill"));
        string[] faults = [.. Faults(kernel, ptx, new KernelCeilings(kernel.Name, 3, [9, 9, 9, 9]), [])];
        Assert.Equal(GpuModel.All.Count, faults.Count(fault => fault.Contains("groups", StringComparison.Ordinal)));
        Assert.Contains(faults, IsOf("instructions for a product"));
        Assert.Contains(
            "passes",
            Assert.Throws<InvalidOperationException>(() => Faults(kernel with { Products = 2049 }, ptx, null, []).ToArray()).Message,
            StringComparison.Ordinal);

        static Predicate<string> IsOf(string word) => fault => fault.Contains(word, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("product, tensor cores, 128 x 128, bfloat16")]
    [InlineData("softmax of scores")]
    public void The_text_is_the_same_for_every_device_but_for_its_target(string name)
    {
        CountedKernel kernel = CountedKernels.Products.Concat(CountedKernels.Rows).Single(kernel => kernel.Name == name);
        CudaArchitecture[] devices =
        [
            kernel.HasTensorCores ? CudaArchitecture.SM_86 : CudaArchitecture.SM_75, CudaArchitecture.SM_89, CudaArchitecture.SM_90,
        ];
        string first = Neutral(kernel.Compile(CudaArchitecture.SM_80));
        Assert.All(devices, device => Assert.Equal(first, Neutral(kernel.Compile(device))));

        // Labels and functions have numbers that count on from one compilation to the next.
        static string Neutral(string ptx) => Numbers().Replace(ptx, "");
    }

    // The text is the same for every device but for its first lines.
    private static string ForTarget(string ptx, string architecture) =>
        CountedKernel.ForTarget(ptx, architecture);

    private static IEnumerable<string> Faults(CountedKernel kernel, string ptx, KernelCeilings? ceilings, ConcurrentBag<string> lines)
    {
        if (!kernel.HasTensorCores && CudaTools.Resources(ForTarget(ptx, Oldest), Oldest).SpillBytes > 0)
            yield return $"{Oldest}: spills";
        for (int i = 0; i < GpuModel.All.Count; i++)
        {
            GpuModel model = GpuModel.All[i];
            string text = ForTarget(ptx, model.Architecture);
            SassResources resources = CudaTools.Resources(text, model.Architecture);
            resources = resources with { SharedBytes = resources.SharedBytes + kernel.DynamicSharedBytes };
            int groups = model.ResidentGroups(resources, kernel.Threads);
            lines.Add($"{kernel.Name}: {model.Architecture}, {resources.Registers} registers, {groups} groups");
            if (resources.SpillBytes > 0)
                yield return $"{model.Architecture}: {resources.SpillBytes} bytes of spill stores and loads";
            if (ceilings is not null && groups < ceilings.ResidentGroups[i])
                yield return $"{model.Architecture}: {groups} groups at once, and there were {ceilings.ResidentGroups[i]}";
        }

        var count = KernelCount.Of(kernel, CudaTools.Assemble(ptx, GpuModel.All[0].Architecture));
        if (kernel.Products == 0)
            yield break;
        double instructions = (double)count.All.Total / kernel.Products;
        string said = Figure(instructions);
        string main = count.Main is { } pass ? Figure((double)pass.Total / count.MainProducts) : "no";
        lines.Add($"{kernel.Name}: {said} instructions for a product, {main} in the main loop, {count.Outside} outside of it");
        if (ceilings is not null && instructions > ceilings.InstructionsOfProduct)
            yield return $"{said} instructions for a product";
    }

    private static string Figure(double value) => value.ToString("F2", CultureInfo.InvariantCulture);

    private static CountedKernel[] Drawn()
    {
        CountedKernel[] all = [.. CountedKernels.Products, .. CountedKernels.Rows];
        CountedKernel[] others = [.. all.Where(kernel => !_always.Contains(kernel.Name))];
        new Random(Fuzz.Seed()).Shuffle(others);
        return [.. all.Where(kernel => _always.Contains(kernel.Name)), .. others.Take(Fuzz.Problems(DrawnKernels))];
    }

    private static void SkipWithoutAssembler() => Assert.SkipWhen(
        CudaTools.Version is null, "ptxas and nvdisasm are not on the path; bench/cuda-tools fetches them and prints their folder.");

    [GeneratedRegex(@"_\d+")]
    private static partial Regex Numbers();
}
