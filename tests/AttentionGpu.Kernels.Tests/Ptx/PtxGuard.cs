using System.Globalization;
using System.Reflection;
using AttentionGpu.Kernels.Common.Heads;
using AttentionGpu.Kernels.TensorCore;
using AttentionGpu.Kernels.Tiled.Attention;
using AttentionGpu.Kernels.Tiled.Decoding;
using AttentionGpu.Kernels.Tiled.Matmul;
using AttentionGpu.Kernels.Tiled.Softmax;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>What no kernel may have in its loops: divisions of integers, and more than so many instructions for each product.</summary>
internal static class PtxGuard
{
    // An inner loop of products has 32 multiply-adds or more.
    private const int HotLoop = 32;

    /// <summary>
    /// Instructions of PTX, as they are written, for each <c>mma</c> of the loop that has all of a kernel's, and for each multiply-add of an
    /// inner loop.
    /// </summary>
    private const double MostOfMma = 22;
    private const double MostOfMultiplyAdd = 3.7;

    /// <summary>
    /// Kernels with divisions of integers in loops, of 13 to 60 instructions each. A kernel that has none any more must leave this table.
    /// </summary>
    public static IReadOnlyDictionary<string, string> KnownDivisions { get; } = new Dictionary<string, string>
    {
        [Name(typeof(AttentionKernel), nameof(AttentionKernel.Forward))] = "heads and tiles, in the loops that load panels",
        [Name(typeof(MatmulKernel), nameof(MatmulKernel.Multiply))] = "heads, in the loops that load panels",
        [Name(typeof(TensorCoreAttentionKernel), nameof(TensorCoreAttentionKernel.Forward))] = "heads, where values are not finite",
        [Name(typeof(DecodeKernel), nameof(DecodeKernel.Part))] = "heads, in the loops that load keys and values",
        [Name(typeof(MergeKernel), nameof(MergeKernel.Merge))] = "heads, for each element that is stored",
        [Name(typeof(AverageHeadsKernel), nameof(AverageHeadsKernel.Average))] = "matrices, for each head",
        [Name(typeof(HeadTransformKernel), nameof(HeadTransformKernel.Transform))] = "heads, for each element",
        [Name(typeof(MergeStatesKernel), nameof(MergeStatesKernel.Merge))] = "heads, for each part",
        [Name(typeof(MaskedSoftmaxKernel), nameof(MaskedSoftmaxKernel.Normalize))] = "rows, for each score",
    };

    public static string Name(MethodInfo kernel) => $"{kernel.DeclaringType!.Name}.{kernel.Name}";

    /// <summary>Fails where a kernel has what it may not have.</summary>
    public static void Check(MethodInfo kernel, string ptx)
    {
        if (!KnownDivisions.ContainsKey(Name(kernel)))
            Assert.Empty(Divisions(ptx));
        Assert.Empty(LongLoops(ptx));
    }

    /// <summary>Divisions and remainders of integers in the loops of a kernel.</summary>
    public static string[] Divisions(string ptx) => [.. PtxNaturalLoop.Find(new PtxProgram(ptx)).SelectMany(loop => loop.Divisions).Distinct()];

    /// <summary>Loops with products that have too many instructions for them.</summary>
    public static string[] LongLoops(string ptx)
    {
        IEnumerable<(PtxLoop Loop, int Products, double Most)> loops = PtxLoop.Find(ptx).Where(loop => loop.MultiplyAdds >= HotLoop)
            .Select(loop => (loop, loop.MultiplyAdds, MostOfMultiplyAdd));
        if (PtxLoop.FindProducts(ptx) is PtxLoop main)
            loops = loops.Append((main, main.Count("mma."), MostOfMma));
        return
        [
            .. loops.Where(one => one.Loop.Instructions.Count > one.Most * one.Products)
                .Select(one => string.Create(CultureInfo.InvariantCulture, $"{one.Loop.Instructions.Count} instructions for {one.Products} products")),
        ];
    }

    private static string Name(Type type, string method) => Name(type.GetMethod(method)!);
}
