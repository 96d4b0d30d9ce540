namespace AttentionGpu.Problems;

/// <summary>The changes of scores, and the rules beside position that hide keys, that a computation has.</summary>
[Flags]
internal enum ScoreVariants
{
    None = 0,

    /// <summary>Scores are bounded before anything is added.</summary>
    Softcap = 1,

    /// <summary>Each head has a slope for a bias by distance.</summary>
    Alibi = 2,

    /// <summary>There is an additive mask.</summary>
    Bias = 4,

    /// <summary>There is a boolean mask.</summary>
    Mask = 8,

    /// <summary>Queries and keys have document numbers: [batch, query length] and [batch, key length].</summary>
    Documents = 16,

    /// <summary>There is a [batch, key length] mask whose bytes mark padding.</summary>
    KeyPadding = 32,

    /// <summary>There is an additive mask of keys beside the additive mask.</summary>
    KeyBias = 64,

    /// <summary>Each head has a table of biases by distance.</summary>
    DistanceBias = 128,

    /// <summary>The last keys of each sequence are those of its queries, which form a tree. Never without a causal range.</summary>
    Tree = 256,
}
