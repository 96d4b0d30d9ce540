namespace AttentionGpu.Tests.Variants;

/// <summary>What a problem's sequences are like.</summary>
public enum SequenceForm
{
    Plain,
    KeyLengths,
    Past,
    Packed,
}

/// <summary>How the tensors of a problem lie.</summary>
public enum LayoutForm
{
    HeadsFirst,
    LengthBeforeHeads,
    JoinedHeads,
    LengthFirst,

    /// <summary>[batch, heads, length, size], seen through strides of [batch, length, heads, size].</summary>
    Permuted,
}

/// <summary>The sides of a window.</summary>
public enum WindowForm
{
    None,
    Left,
    Right,
    Both,
    BothAtTheEnd,
}

/// <summary>The masks of a problem.</summary>
public enum VariantMask
{
    None,
    Boolean,
    Additive,

    /// <summary>Additive with many -inf, so that some rows see nothing.</summary>
    Infinite,
    Both,
}

/// <summary>How queries and keys are rotated.</summary>
public enum RotaryForm
{
    None,
    Halves,
    InterleavedPart,
    GivenPositions,
}

/// <summary>Which of queries and keys are normalised.</summary>
public enum NormForm
{
    None,
    Queries,
    Both,
}

/// <summary>The type of a tensor's elements.</summary>
public enum ElementForm
{
    F32,
    F16,
    BF16,
}

/// <summary>What a problem is made of: a choice for each of the things in which problems differ.</summary>
public sealed record VariantKind(IReadOnlyList<int> Choices)
{
    private static readonly (string Name, int Count)[] _factors =
    [
        ("element type", 3), ("causal", 3), ("prefix", 2), ("window", 5), ("softcap", 2), ("ALiBi", 2), ("sinks", 2), ("mask", 5),
        ("documents", 2), ("sequences", 4), ("layout", 5), ("grouped heads", 2), ("value head size", 2), ("normalisation", 3), ("rotary embedding", 4),
        ("scores", 6), ("log-sum-exp", 2), ("present", 2), ("few queries", 2),
    ];

    /// <summary>The things in which problems differ, and how many choices each has; choice 0 is the plain one.</summary>
    public static IReadOnlyList<(string Name, int Count)> Factors => _factors;

    /// <summary>The place of a thing among them, by name.</summary>
    public static int Index(string name) => Array.FindIndex(_factors, factor => factor.Name == name);

    public ElementForm Element => (ElementForm)Choices[0];

    public Causal Causal => (Causal)Choices[1];

    public bool Prefix => Choices[2] == 1;

    public WindowForm Window => (WindowForm)Choices[3];

    public bool Softcap => Choices[4] == 1;

    public bool Alibi => Choices[5] == 1;

    public bool Sinks => Choices[6] == 1;

    public VariantMask Mask => (VariantMask)Choices[7];

    public bool Documents => Choices[8] == 1;

    public SequenceForm Sequences => (SequenceForm)Choices[9];

    public LayoutForm Layout => (LayoutForm)Choices[10];

    public bool Grouped => Choices[11] == 1;

    public bool OwnValueSize => Choices[12] == 1;

    public NormForm Norm => (NormForm)Choices[13];

    public RotaryForm Rotary => (RotaryForm)Choices[14];

    /// <summary>The scores that are asked for; null for none.</summary>
    public ScoreStage? Scores => Choices[15] == 0 ? null : (ScoreStage)(Choices[15] - 1);

    public bool LogSumExp => Choices[16] == 1;

    public bool Present => Choices[17] == 1;

    public bool FewQueries => Choices[18] == 1;

    /// <summary>Whether the engine takes such a problem.</summary>
    public bool IsValid =>
        (!Prefix || Causal != Causal.None)
        && (Sequences != SequenceForm.Packed
            || (!Prefix && Mask == VariantMask.None && !Documents && Scores is null && !Present && Layout == LayoutForm.HeadsFirst));

    public override string ToString() => string.Join(", ", _factors.Zip(Choices).Where(pair => pair.Second != 0).Select(pair => $"{pair.First.Name} {pair.Second}"));
}
