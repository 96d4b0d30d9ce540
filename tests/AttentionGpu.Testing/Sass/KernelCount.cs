namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>What one warp of a kernel's group issues in the kernel's problem, from its start to its end.</summary>
/// <param name="All">Everything.</param>
/// <param name="Main">One pass of the smallest loop that brings operands and multiplies them; null where a kernel has none.</param>
/// <param name="MainProducts">The products of that pass.</param>
/// <param name="Outside">What is issued outside that loop.</param>
internal sealed record KernelCount(SassCount All, SassCount? Main, long MainProducts, long Outside)
{
    // Other parts of a kernel have multiply-adds too, such as those of an exponential.
    private const double OtherMultiplyAdds = 0.1;
    private const double MostProducts = 0.95;

    // A text has a loop of its own for blocks of keys at a border.
    private const double HalfOfProducts = 0.5;

    /// <exception cref="InvalidOperationException">
    /// The loops are not as the kernel declares them, or the products that come of its passes are not those that the problem needs.
    /// </exception>
    public static KernelCount Of(CountedKernel kernel, AssembledKernel assembled)
    {
        Dictionary<SassLoop, int> passes;
        IReadOnlyDictionary<SassBlock, long> times;
        try
        {
            passes = LoopTrips.Match(assembled.Loops, kernel.Trips);
            times = SassPath.Times(assembled.Graph, assembled.Loops, passes, kernel.MaskPasses, kernel.IsText);
        }
        catch (Exception exception) when (exception is InvalidOperationException or NotSupportedException)
        {
            throw new InvalidOperationException($"{kernel.Name}: {exception.Message}", exception);
        }

        var all = new SassCount(times);
        SassKind kind = kernel.HasTensorCores ? SassKind.TensorProduct : SassKind.MultiplyAdd;
        long products = all.Of(kind);
        if (products < kernel.Products || (kernel.Products > 0 && products > MostOf(kernel)))
        {
            throw new InvalidOperationException(
                $"{kernel.Name}: the declared passes '{kernel.Trips}' make {products} products, and the problem needs {kernel.Products}. "
                + $"The loops are {SassLoop.Describe(assembled.Loops)}.");
        }

        if (kernel.Products == 0)
            return new KernelCount(all, null, 0, all.Total);
        SassLoop main = assembled.Loops.SelectMany(loop => loop.WithInner)
            .Where(loop => In(loop) is var count && count.Of(kind) >= (kernel.IsText ? HalfOfProducts : MostProducts) * products
                && count.Of(SassKind.AsyncCopy, SassKind.GlobalLoad) > 0).MinBy(loop => loop.Body.Count)
            ?? throw new InvalidOperationException($"{kernel.Name}: no loop brings operands and multiplies them.");
        var one = new SassCount(OnePass(main, times, kernel.IsText));
        return new KernelCount(all, one, one.Of(kind), all.Total - In(main).Total);

        SassCount In(SassLoop loop) => new(times.Where(pair => loop.Body.Contains(pair.Key)));
    }

    private static double MostOf(CountedKernel kernel) =>
        kernel.HasTensorCores ? kernel.Products : kernel.Products * (1 + OtherMultiplyAdds);

    // A pass without masks, which a text has in another loop. The head may run once more than the passes, and is on every one of them.
    private static IEnumerable<KeyValuePair<SassBlock, long>> OnePass(
        SassLoop loop, IReadOnlyDictionary<SassBlock, long> times, bool isText)
    {
        long passes = loop.Body.Where(block => block.Next.Contains(loop.Head)).Max(block => times.GetValueOrDefault(block));
        return times.Where(pair => loop.Body.Contains(pair.Key) && (isText || !pair.Key.IsMask))
            .Select(pair => KeyValuePair.Create(pair.Key, pair.Value / passes));
    }
}
