using AttentionGpu.Kernels.Ranges;
using AttentionGpu.Kernels.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>The keys that a query sees by position: what the kernels' range structs say, chosen at run time.</summary>
internal readonly struct KeyBounds(AttentionProblem problem)
{
    private readonly WindowRange? _window = problem.Window is { } window ? new WindowRange { Left = window.Left, Right = window.Right } : null;

    /// <summary>The first key that the query can see.</summary>
    public int FirstKey(Sequence sequence, int query) => _window?.FirstKey(sequence, query) ?? 0;

    /// <summary>The key after the last that the query can see.</summary>
    public int EndKey(Sequence sequence, int query)
    {
        int end = problem.Causal switch
        {
            CausalKind.None => default(AllKeys).EndKey(sequence, query),
            CausalKind.Causal => default(CausalRange).EndKey(sequence, query),
            _ => default(PrefixRange).EndKey(sequence, query),
        };
        return _window is { } window ? Math.Min(end, window.EndKey(sequence, query)) : end;
    }
}
