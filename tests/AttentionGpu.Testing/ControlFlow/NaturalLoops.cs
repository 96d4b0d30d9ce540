namespace AttentionGpu.Kernels.Tests.ControlFlow;

/// <summary>The loops of a kernel: a head, and all that leads back to it without leaving what the head dominates.</summary>
internal static class NaturalLoops
{
    /// <summary>The nodes of each loop by its head, those of the loops inside it among them.</summary>
    public static Dictionary<TNode, HashSet<TNode>> Find<TNode>(Dominators<TNode> dominators)
        where TNode : notnull
    {
        var bodies = new Dictionary<TNode, HashSet<TNode>>();
        foreach (TNode node in dominators.Nodes)
        {
            foreach (TNode head in dominators.Next(node).Where(next => dominators.Dominates(next, node)))
            {
                if (!bodies.TryGetValue(head, out HashSet<TNode>? body))
                    bodies.Add(head, body = [head]);
                AddBackwards(node, body, dominators);
            }
        }

        return bodies;
    }

    private static void AddBackwards<TNode>(TNode latch, HashSet<TNode> body, Dominators<TNode> dominators)
        where TNode : notnull
    {
        var open = new Stack<TNode>([latch]);
        while (open.TryPop(out TNode? node))
        {
            if (!body.Add(node))
                continue;
            foreach (TNode before in dominators.Predecessors[node])
                open.Push(before);
        }
    }
}
