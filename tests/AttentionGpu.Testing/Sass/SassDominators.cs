namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>
/// Which blocks every way to a block leads through. Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm" (2001).
/// </summary>
internal sealed class SassDominators
{
    private readonly Dictionary<SassBlock, int> _places = [];
    private readonly Dictionary<SassBlock, SassBlock> _immediate = [];

    public SassDominators(SassGraph graph)
    {
        Predecessors = graph.Blocks.SelectMany(block => block.Next.Select(next => (next, block))).ToLookup(pair => pair.next, pair => pair.block);
        List<SassBlock> order = [];
        Visit(graph.Blocks[0], [], order);
        for (int i = 0; i < order.Count; i++)
            _places.Add(order[i], i);
        order.Reverse();
        _immediate.Add(order[0], order[0]);
        for (bool changed = true; changed;)
        {
            changed = false;
            foreach (SassBlock block in order.Skip(1))
            {
                SassBlock dominator = Predecessors[block].Where(_immediate.ContainsKey).Aggregate(Common);
                changed |= !_immediate.TryGetValue(block, out SassBlock? before) || before != dominator;
                _immediate[block] = dominator;
            }
        }
    }

    public ILookup<SassBlock, SassBlock> Predecessors { get; }

    public bool Dominates(SassBlock dominator, SassBlock block)
    {
        while (block != dominator && _immediate[block] != block)
            block = _immediate[block];
        return block == dominator;
    }

    private SassBlock Common(SassBlock first, SassBlock second)
    {
        while (first != second)
        {
            if (_places[first] < _places[second])
                first = _immediate[first];
            else
                second = _immediate[second];
        }

        return first;
    }

    // After all that follow it.
    private static void Visit(SassBlock block, HashSet<SassBlock> seen, List<SassBlock> order)
    {
        if (!seen.Add(block))
            return;
        foreach (SassBlock next in block.Next)
            Visit(next, seen, order);
        order.Add(block);
    }
}
