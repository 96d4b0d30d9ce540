namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>
/// How often a warp runs each block: on the longest way through the kernel, on which each loop goes round as often as is declared. Of the
/// two sides of a branch only one counts: the one with more accesses of 8 or 16 bytes, which aligned memory takes, else the longer one.
/// </summary>
/// <remarks>
/// A loop whose exit is at the end of a pass makes its passes; one with an earlier exit makes one more up to there. The exit that comes
/// first is the loop's own. Blocks that hide scores run as often as is declared, whatever the passes of their loop are.
/// </remarks>
internal sealed class SassPath
{
    private readonly Dictionary<SassLoop, int> _passes;
    private readonly Dictionary<SassBlock, long> _times = [];

    private SassPath(Dictionary<SassLoop, int> passes)
    {
        _passes = passes;
    }

    /// <param name="graph">The kernel.</param>
    /// <param name="loops">The loops that no other holds.</param>
    /// <param name="passes">Of every loop.</param>
    /// <param name="maskPasses">How often each block that hides scores runs.</param>
    /// <exception cref="NotSupportedException">There is a loop with several entries.</exception>
    public static IReadOnlyDictionary<SassBlock, long> Times(
        SassGraph graph, IReadOnlyList<SassLoop> loops, Dictionary<SassLoop, int> passes, int maskPasses)
    {
        var path = new SassPath(passes);
        var whole = new SassLoop(graph.Blocks[0], graph.Blocks.ToHashSet(), loops);
        var region = new SassRegion(whole, path.Entry);
        path.Add(region.To(region.Last), loops, 1);
        foreach (SassBlock mask in path._times.Keys.Where(block => block.IsMask).ToArray())
            path._times[mask] = maskPasses;
        return path._times;
    }

    // The weight of a loop each time that it is entered.
    private long Entry(SassLoop loop)
    {
        int passes = _passes[loop];
        if (passes == 0)
            return 0;
        var region = new SassRegion(loop, Entry);
        return passes * region.Length(region.Latch) + (region.EarlyExit is SassBlock exit ? region.Length(exit) : 0);
    }

    private void Add(IEnumerable<SassBlock> nodes, IReadOnlyList<SassLoop> inner, long times)
    {
        foreach (SassBlock node in nodes)
        {
            if (inner.FirstOrDefault(loop => loop.Head == node) is not SassLoop loop)
            {
                _times[node] = _times.GetValueOrDefault(node) + times;
                continue;
            }

            // Mask blocks are beside the longest way, which takes them for empty.
            int passes = _passes[loop];
            if (passes == 0)
                continue;
            foreach (SassBlock mask in loop.Body.Where(block => block.IsMask))
                _times.TryAdd(mask, 0);
            var region = new SassRegion(loop, Entry);
            Add(region.To(region.Latch), loop.Inner, times * passes);
            if (region.EarlyExit is SassBlock exit)
                Add(region.To(exit), loop.Inner, times);
        }
    }
}
