namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>What no kernel may have in its loops: divisions of integers, and more than so many instructions for each product.</summary>
internal static class PtxGuard
{
    // An inner loop of products has 32 multiply-adds or more.
    private const int HotLoop = 32;

    // Instructions as they are written: for each mma of the loop that has all of a kernel's, and for each multiply-add of an inner loop.
    private const double MostOfMma = 22;
    private const double MostOfMultiplyAdd = 3.7;

    /// <summary>Fails where a kernel has what it may not have.</summary>
    public static void Check(string ptx)
    {
        Assert.Empty(Divisions(ptx));
        Assert.Empty(LongLoops(ptx));
    }

    /// <summary>Divisions and remainders of integers in the loops of a kernel.</summary>
    public static string[] Divisions(string ptx) =>
        [.. PtxNaturalLoop.Find(new PtxProgram(ptx)).SelectMany(loop => loop.Divisions).Distinct()];

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
                .Select(one => $"{one.Loop.Instructions.Count} instructions for {one.Products} products"),
        ];
    }
}
