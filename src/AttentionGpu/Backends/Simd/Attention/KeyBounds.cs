using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>The keys that a query sees by position: the kernels' range structs, chosen at run time.</summary>
internal readonly struct KeyBounds(in AttentionSignature signature, WindowSize window)
{
    private readonly CausalKind _causal = signature.Causal;
    private readonly bool _hasTree = signature.Has(ScoreVariants.Tree);
    private readonly bool _hasWindow = signature.HasWindow;
    private readonly WindowRange _window = new() { Left = window.Left, Right = window.Right };

    /// <summary>The first key that the query can see.</summary>
    public int FirstKey(in Sequence sequence, int query) => _hasWindow ? _window.FirstKey(sequence, query) : 0;

    /// <summary>The key after the last that the query can see.</summary>
    public int EndKey(in Sequence sequence, int query)
    {
        int end = _causal switch
        {
            CausalKind.None => default(AllKeys).EndKey(sequence, query),
            CausalKind.Causal => default(CausalRange).EndKey(sequence, query),
            CausalKind.CausalWithPrefix => default(PrefixRange).EndKey(sequence, query),
            _ => throw Unknown(_causal),
        };
        return _hasWindow ? Math.Min(end, _window.EndKey(sequence, query)) : end;
    }

    /// <summary>
    /// The key after the last that the query sees without a gap: a tree shows a query some of the keys that lie behind the past.
    /// </summary>
    public int ShownEnd(in Sequence sequence, int query)
    {
        int end = EndKey(sequence, query);
        return _hasTree ? Math.Min(end, sequence.KeyLength - sequence.QueryLength) : end;
    }

    // Apart, so that the method above stays small enough to be part of its callers.
    private static InvalidOperationException Unknown(CausalKind causal) => new($"There is no such causal mask: {causal}.");
}
