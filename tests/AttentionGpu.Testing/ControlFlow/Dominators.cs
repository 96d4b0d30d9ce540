namespace AttentionGpu.Kernels.Tests.ControlFlow;

/// <summary>
/// Which nodes every way to a node leads through. Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm" (2001).
/// </summary>
/// <typeparam name="TNode">A basic block, or an instruction.</typeparam>
internal sealed class Dominators<TNode>
    where TNode : notnull
{
    private readonly Dictionary<TNode, int> _places = [];
    private readonly Dictionary<TNode, TNode> _immediate = [];

    /// <param name="start">Where a kernel begins.</param>
    /// <param name="next">The nodes that may follow one.</param>
    public Dominators(TNode start, Func<TNode, IEnumerable<TNode>> next)
    {
        Next = next;
        List<TNode> order = Postorder(start, next);
        for (int i = 0; i < order.Count; i++)
            _places.Add(order[i], i);
        Predecessors = order.SelectMany(node => next(node).Select(follower => (follower, node)))
            .ToLookup(pair => pair.follower, pair => pair.node);
        order.Reverse();
        _immediate.Add(start, start);
        for (bool changed = true; changed;)
        {
            changed = false;
            foreach (TNode node in order.Skip(1))
            {
                TNode dominator = Predecessors[node].Where(_immediate.ContainsKey).Aggregate(Common);
                changed |= !_immediate.TryGetValue(node, out TNode? before) || !before.Equals(dominator);
                _immediate[node] = dominator;
            }
        }
    }

    /// <summary>The nodes that the start leads to.</summary>
    public IEnumerable<TNode> Nodes => _places.Keys;

    public Func<TNode, IEnumerable<TNode>> Next { get; }

    public ILookup<TNode, TNode> Predecessors { get; }

    public bool Dominates(TNode dominator, TNode node)
    {
        // A dominator stands behind what it dominates in the postorder.
        while (_places[node] < _places[dominator])
            node = _immediate[node];
        return node.Equals(dominator);
    }

    private TNode Common(TNode first, TNode second)
    {
        while (!first.Equals(second))
        {
            if (_places[first] < _places[second])
                first = _immediate[first];
            else
                second = _immediate[second];
        }

        return first;
    }

    // A node comes after all that are found from it. Kernels are long: a stack of the nodes' followers takes the place of recursion.
    private static List<TNode> Postorder(TNode start, Func<TNode, IEnumerable<TNode>> next)
    {
        List<TNode> order = [];
        HashSet<TNode> seen = [start];
        var open = new Stack<(TNode Node, IEnumerator<TNode> Followers)>();
        open.Push((start, next(start).GetEnumerator()));
        while (open.TryPeek(out (TNode Node, IEnumerator<TNode> Followers) last))
        {
            if (!last.Followers.MoveNext())
            {
                last.Followers.Dispose();
                open.Pop();
                order.Add(last.Node);
            }
            else if (seen.Add(last.Followers.Current))
            {
                open.Push((last.Followers.Current, next(last.Followers.Current).GetEnumerator()));
            }
        }

        return order;
    }
}
