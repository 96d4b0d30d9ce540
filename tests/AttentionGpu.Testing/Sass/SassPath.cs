namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>
/// How often a warp runs each block: on the longest way through the kernel, on which each loop goes round as often as is declared. Of the
/// two sides of a branch only one counts: the one with more accesses of 8 or 16 bytes, which aligned memory takes, else the longer one. In a
/// kernel that is written in PTX it is the one with products, exponentials or wide accesses, else the shorter one: what it does rarely is
/// written behind a branch.
/// </summary>
/// <remarks>
/// A loop whose exit is at the end of a pass makes its passes; one with an earlier exit makes one more up to there. The exit that comes
/// first is the loop's own. Blocks that hide scores run as often as is declared, whatever the passes of their loop are.
/// </remarks>
internal sealed class SassPath
{
    private readonly Dictionary<SassLoop, int> _passes;
    private readonly Dictionary<SassBlock, long> _times = [];

    private readonly bool _isText;

    private SassPath(Dictionary<SassLoop, int> passes, bool isText)
    {
        _passes = passes;
        _isText = isText;
    }

    /// <param name="graph">The kernel.</param>
    /// <param name="loops">The loops that no other holds.</param>
    /// <param name="passes">Of every loop.</param>
    /// <param name="maskPasses">How often each block that hides scores runs.</param>
    /// <param name="isText">Whether the kernel is written in PTX.</param>
    /// <exception cref="NotSupportedException">There is a loop with several entries.</exception>
    public static IReadOnlyDictionary<SassBlock, long> Times(
        SassGraph graph, IReadOnlyList<SassLoop> loops, Dictionary<SassLoop, int> passes, int maskPasses, bool isText = false)
    {
        var path = new SassPath(passes, isText);
        var whole = new SassLoop(graph.Blocks[0], graph.Blocks.ToHashSet(), loops);
        var region = new SassRegion(whole, path.Entry, isText);
        path.Add(region.To(region.Last), loops, 1);
        if (isText)
            return path._times;
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
        var region = new SassRegion(loop, Entry, _isText);
        return WholePasses(passes, region) * region.Length(region.Latch) + (region.EarlyExit is SassBlock exit ? region.Length(exit) : 0);
    }

    // A text's outermost loop repeats the kernel: the last of its passes ends where the kernel does.
    private int WholePasses(int passes, SassRegion region) => _isText && region.EarlyExit is not null ? passes - 1 : passes;

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
            if (!_isText)
            {
                foreach (SassBlock mask in loop.Body.Where(block => block.IsMask))
                    _times.TryAdd(mask, 0);
            }

            var region = new SassRegion(loop, Entry, _isText);
            Add(region.To(region.Latch), loop.Inner, times * WholePasses(passes, region));
            if (region.EarlyExit is SassBlock exit)
                Add(region.To(exit), loop.Inner, times);
        }
    }
}
