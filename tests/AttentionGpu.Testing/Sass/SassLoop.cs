using AttentionGpu.Kernels.Tests.ControlFlow;

namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>A natural loop, and the loops inside it by address.</summary>
/// <param name="Head">The block that every pass begins with.</param>
/// <param name="Body">All its blocks, those of inner loops among them.</param>
/// <param name="Inner">The loops that no other loop inside it has.</param>
internal sealed record SassLoop(SassBlock Head, IReadOnlySet<SassBlock> Body, IReadOnlyList<SassLoop> Inner)
{
    /// <summary>This loop and all inside it.</summary>
    public IEnumerable<SassLoop> WithInner => [this, .. Inner.SelectMany(loop => loop.WithInner)];

    /// <summary>The loops that no other loop holds, by address.</summary>
    public static IReadOnlyList<SassLoop> Find(SassGraph graph)
    {
        var dominators = new Dominators<SassBlock>(graph.Blocks[0], block => block.Next);
        return Nest([.. NaturalLoops.Find(dominators).OrderBy(pair => pair.Key.Address)]);
    }

    /// <summary>The nesting, with what each loop has that tells it from others.</summary>
    public static string Describe(IEnumerable<SassLoop> loops) => string.Join(' ', loops.Select(loop =>
    {
        SassKind[] kinds =
        [
            SassKind.TensorProduct, SassKind.MultiplyAdd, SassKind.AsyncCopy, SassKind.SharedLoad, SassKind.GlobalLoad,
            SassKind.SpecialFunction,
        ];
        IEnumerable<string> found = kinds.Select(kind => (Kind: kind, Count: loop.Body.Sum(block => block.Count(kind))))
            .Where(pair => pair.Count > 0).Select(pair => $"{pair.Count} {pair.Kind}");
        string inner = loop.Inner.Count == 0 ? "" : $"({Describe(loop.Inner)})";
        return $"[{loop.Head.Address:x4}: {string.Join(", ", found)}]{inner}";
    }));

    private static SassLoop[] Nest(KeyValuePair<SassBlock, HashSet<SassBlock>>[] loops) =>
    [
        .. loops.Where(loop => !loops.Any(other => Holds(other, loop)))
            .Select(loop => new SassLoop(loop.Key, loop.Value, Nest([.. loops.Where(other => Holds(loop, other))]))),
    ];

    private static bool Holds(KeyValuePair<SassBlock, HashSet<SassBlock>> outer, KeyValuePair<SassBlock, HashSet<SassBlock>> inner) =>
        outer.Key != inner.Key && outer.Value.Contains(inner.Key);
}
