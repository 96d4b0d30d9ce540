using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>The keys that a query sees by position: what the kernels' range structs say, chosen at run time.</summary>
internal readonly struct KeyBounds(AttentionProblem problem)
{
    private readonly CausalKind _causal = problem.Causal;
    private readonly bool _hasWindow = problem.Window is not null;
    private readonly WindowRange _window = new() { Left = problem.Window?.Left ?? 0, Right = problem.Window?.Right ?? 0 };

    /// <summary>The first key that the query can see.</summary>
    public int FirstKey(in Sequence sequence, int query) => _hasWindow ? _window.FirstKey(sequence, query) : 0;

    /// <summary>The key after the last that the query can see.</summary>
    public int EndKey(in Sequence sequence, int query)
    {
        int end = _causal switch
        {
            CausalKind.None => default(AllKeys).EndKey(sequence, query),
            CausalKind.Causal => default(CausalRange).EndKey(sequence, query),
            _ => default(PrefixRange).EndKey(sequence, query),
        };
        return _hasWindow ? Math.Min(end, _window.EndKey(sequence, query)) : end;
    }
}
