namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>What a kernel may take at most under the assembler of <see cref="Version"/>, another of which makes other code.</summary>
/// <param name="Names">What the kernels' names are or start with.</param>
/// <param name="InstructionsOfProduct">Instructions of a warp for each product, SM_80, from the start of a group to its end.</param>
/// <param name="ResidentGroups">The fewest groups at once on a multiprocessor of each of <see cref="GpuModel.All"/>.</param>
internal sealed record KernelCeilings(string Names, double InstructionsOfProduct, int[] ResidentGroups)
{
    /// <summary>The assembler's version.</summary>
    public const string Version = "12.4";

    /// <summary>Every kernel of <see cref="CountedKernels.Products"/> has one.</summary>
    public static IReadOnlyList<KernelCeilings> All { get; } =
    [
        new("attention, tensor cores, head size 64", 4.6, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 128", 3.5, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 256", 3.3, [2, 1, 1, 2]),
        new("attention, tensor cores, head size 64, float16, softcap", 6.9, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 64, float16, ALiBi", 6.1, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 64, float16, bias", 6.5, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 64, float16, mask", 6.5, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 64, float16, documents", 6.1, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 64, float16, bias by distance", 7.5, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 128, float16, softcap", 4.6, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 128, float16, ALiBi", 4.2, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 128, float16, bias", 4.4, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 128, float16, mask", 4.4, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 128, float16, documents", 4.2, [2, 2, 2, 2]),
        new("attention, tensor cores, head size 128, float16, bias by distance", 4.9, [2, 2, 2, 2]),
        new("product, tensor cores, 16 x 32", 8.7, [4, 2, 2, 6]),
        new("product, tensor cores, 64 x 64", 3.2, [3, 2, 2, 4]),
        new("product, tensor cores, 128 x 128", 2.1, [3, 2, 2, 3]),
        new("attention, tile 8x8, head size 32", 2.4, [6, 6, 6, 6]),
        new("attention, tile 8x16, head size 64", 2.2, [3, 3, 3, 3]),
        new("attention, tile 8x16, two groups of values, head size 128", 2, [3, 3, 3, 3]),
        new("product, tile 16x16", 1.7, [2, 2, 2, 2]),
        new("product, tile 8x8", 2, [10, 10, 10, 10]),
    ];

    /// <summary>The ceilings with the longest name that fits.</summary>
    public static KernelCeilings Of(CountedKernel kernel) =>
        All.Where(ceilings => kernel.Name == ceilings.Names || kernel.Name.StartsWith(ceilings.Names + ',', StringComparison.Ordinal))
            .MaxBy(ceilings => ceilings.Names.Length)
        ?? throw new InvalidOperationException($"{kernel.Name} has no ceilings.");
}
