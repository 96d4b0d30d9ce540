namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>
/// One pass of a loop, or a whole kernel, without the ways back: inner loops are one node each, which their heads stand for.
/// </summary>
internal sealed class SassRegion
{
    // Of a branch with accesses of several elements at once and one without, the former is taken, however short it is. In a text, where
    // the shorter side is taken, so are products, and a block of exponentials.
    private const long WideWeight = 1_000_000;
    private const int Exponentials = 16;

    private readonly SassLoop _loop;
    private readonly Func<SassLoop, long> _entry;
    private readonly bool _isText;
    private readonly Dictionary<SassBlock, SassLoop> _owners = [];
    private readonly Dictionary<SassBlock, long> _lengths = [];
    private readonly Dictionary<SassBlock, SassBlock> _before = [];

    /// <param name="loop">The loop; a kernel is one whose head is its first block.</param>
    /// <param name="entry">The weight of an inner loop each time that it is entered.</param>
    /// <param name="isText">Whether the kernel is written in PTX: what is beside its usual way is rare.</param>
    public SassRegion(SassLoop loop, Func<SassLoop, long> entry, bool isText)
    {
        _loop = loop;
        _entry = entry;
        _isText = isText;
        foreach (SassLoop inner in loop.Inner)
        {
            foreach (SassBlock block in inner.Body)
                _owners.Add(block, inner);
        }

        List<SassBlock> order = [];
        Visit(loop.Head, [], order);
        order.Reverse();
        Measure(order);
        Latch = order.Where(node => Exits(node).Contains(loop.Head)).MaxBy(Length) ?? loop.Head;
        Last = order.Where(node => !Followers(node).Any()).MaxBy(Length)!;
        EarlyExit = FindEarlyExit(order);
    }

    /// <summary>The block that goes back to the head, at the end of the longest pass.</summary>
    public SassBlock Latch { get; }

    /// <summary>The block that the longest way through a kernel ends with.</summary>
    public SassBlock Last { get; }

    /// <summary>The first block that the loop is left from; null where the pass is over there.</summary>
    public SassBlock? EarlyExit { get; }

    /// <summary>
    /// The weight of the way of most weight from the head to a node, with both: its instructions, or in a text their number below 0, but for
    /// what a way is chosen for.
    /// </summary>
    public long Length(SassBlock node) => _lengths[node];

    /// <summary>The nodes of that way.</summary>
    public IEnumerable<SassBlock> To(SassBlock node)
    {
        yield return node;
        while (_before.TryGetValue(node, out SassBlock? before))
            yield return node = before;
    }

    private SassBlock Node(SassBlock block) => _owners.TryGetValue(block, out SassLoop? inner) ? inner.Head : block;

    private IEnumerable<SassBlock> Exits(SassBlock node) =>
        _owners.TryGetValue(node, out SassLoop? inner)
            ? inner.Body.SelectMany(block => block.Next).Where(next => !inner.Body.Contains(next))
            : node.Next;

    private IEnumerable<SassBlock> Followers(SassBlock node) =>
        Exits(node).Where(next => next != _loop.Head && _loop.Body.Contains(next)).Select(Node).Distinct();

    private long Weight(SassBlock node) =>
        _owners.TryGetValue(node, out SassLoop? inner) ? _entry(inner)
        : _isText ? WideWeight * Wanted(node) - node.Instructions.Count
        : node.IsMask ? 0
        : node.Instructions.Count + WideWeight * node.Instructions.Count(instruction => instruction.IsWide);

    private static int Wanted(SassBlock node)
    {
        int exponentials = node.Count(SassKind.SpecialFunction);
        return node.Count(SassKind.TensorProduct) + (exponentials >= Exponentials ? exponentials : 0)
            + node.Instructions.Count(instruction => instruction.IsWide);
    }

    private void Measure(List<SassBlock> order)
    {
        _lengths.Add(_loop.Head, Weight(_loop.Head));
        foreach (SassBlock node in order)
        {
            foreach (SassBlock next in Followers(node))
            {
                long length = _lengths[node] + Weight(next);
                if (length <= _lengths.GetValueOrDefault(next, long.MinValue))
                    continue;
                _lengths[next] = length;
                _before[next] = node;
            }
        }
    }

    private SassBlock? FindEarlyExit(List<SassBlock> order)
    {
        SassBlock? exit = order.Where(node => Exits(node).Any(next => !_loop.Body.Contains(next))).MinBy(Length);
        bool isAtEnd = exit is null
            || To(Latch).TakeWhile(node => node != exit).All(node => node.Instructions.All(one => one.Kind == SassKind.Branch));
        return isAtEnd ? null : exit;
    }

    // After all that follow it. A node that is met again on its own way shows a loop that is none of the inner ones.
    private void Visit(SassBlock node, Dictionary<SassBlock, bool> isDone, List<SassBlock> order)
    {
        if (isDone.TryGetValue(node, out bool done))
        {
            if (!done)
                throw new NotSupportedException($"There is a loop with several entries at {node.Address:x4}.");
            return;
        }

        isDone[node] = false;
        foreach (SassBlock next in Followers(node))
            Visit(next, isDone, order);
        isDone[node] = true;
        order.Add(node);
    }
}
