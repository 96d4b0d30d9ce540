namespace AttentionGpu.Tests.Variants;

/// <summary>What a problem's sequences are like.</summary>
public enum SequenceForm
{
    Plain,
    KeyLengths,
    Past,
    Ragged,

    /// <summary>Ragged, and a sequence uses a part of its keys.</summary>
    RaggedKeyLengths,

    /// <summary>Ragged, and the last sequence ends before the queries and keys do.</summary>
    RaggedEnd,
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
    ShortBoolean,
    ShortAdditive,

    /// <summary>A boolean and an additive mask, which end at keys of their own.</summary>
    ShortBoth,
}

/// <summary>How queries and keys are rotated.</summary>
public enum RotaryForm
{
    None,
    Halves,
    InterleavedPart,
    GivenPositions,

    /// <summary>Each batch entry has a table with a row for each of its tokens.</summary>
    OwnTables,

    /// <summary>Each batch entry has a table, and its tokens have positions in it.</summary>
    OwnTablesAndPositions,
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

/// <summary>How keys are marked as padding.</summary>
public enum PaddingForm
{
    None,
    Boolean,

    /// <summary>A number a key that is added to its scores, -inf for some.</summary>
    Additive,
}

/// <summary>Keys that every query sees beside the others.</summary>
public enum ExtraForm
{
    None,
    Key,
    Zero,
    Both,
}

/// <summary>What a problem is made of: a choice for each of the things in which problems differ.</summary>
public sealed record VariantKind(IReadOnlyList<int> Choices)
{
    private static readonly (string Name, string[] Choices)[] _factors =
    [
        ("element type", ["float32", "float16", "bfloat16"]),
        ("causal", ["", "causal, top left", "causal, bottom right"]),
        ("prefix", ["", "prefix"]),
        ("window", ["", "window to the left", "window to the right", "window to both sides", "window, aligned bottom right"]),
        ("softcap", ["", "softcap"]),
        ("ALiBi", ["", "ALiBi", "ALiBi, slopes of each batch entry"]),
        ("sinks", ["", "sinks"]),
        (
            "mask",
            [
                "", "boolean mask", "additive mask", "additive mask with -inf", "boolean and additive mask", "boolean mask with fewer keys",
                "additive mask with fewer keys", "boolean and additive mask, each with fewer keys",
            ]),
        ("documents", ["", "documents"]),
        (
            "sequences",
            [
                "", "key lengths", "past", "ragged sequences", "ragged sequences with key lengths",
                "ragged sequences that end before the tokens",
            ]),
        ("layout", ["", "[batch, length, heads, size]", "[batch, length, heads x size]", "[length, batch, heads x size]", "strided"]),
        ("grouped heads", ["", "grouped heads"]),
        ("value head size", ["", "value head size of its own"]),
        ("normalisation", ["", "RMS norm of queries", "RMS norm of queries and keys"]),
        (
            "rotary embedding",
            [
                "", "rotary embedding", "rotary embedding, interleaved, of a part", "rotary embedding at given positions",
                "rotary embedding, tables of each batch entry", "rotary embedding, tables of each batch entry, at given positions",
            ]),
        ("scores", ["", "products", "softcapped scores", "masked scores", "weights", "average weights"]),
        ("log-sum-exp", ["", "log-sum-exp"]),
        ("present", ["", "present", "past and present in one memory"]),
        ("few queries", ["", "few queries"]),
        ("key padding", ["", "key padding", "additive key padding"]),
        ("extra keys", ["", "extra key and value", "zero attention", "extra key and zero attention"]),
        ("axes", ["", "[heads, length, size]", "[length, size]"]),
        ("distance bias", ["", "bias by distance"]),
    ];

    /// <summary>The things in which problems differ, and the choices of each; the first is the plain one.</summary>
    public static IReadOnlyList<(string Name, string[] Choices)> Factors => _factors;

    /// <summary>The plain problem with some choices, by their names.</summary>
    public static VariantKind With(params ReadOnlySpan<string> choices)
    {
        var all = new int[_factors.Length];
        foreach (string choice in choices)
        {
            int factor = Array.FindIndex(_factors, one => one.Choices.Contains(choice));
            all[factor] = Array.IndexOf(_factors[factor].Choices, choice);
        }

        return new VariantKind(all);
    }

    /// <summary>The plain problem with these three choices.</summary>
    public static VariantKind Of(Causal causal, VariantMask mask = VariantMask.None, ScoreStage? scores = null)
    {
        var all = new int[_factors.Length];
        all[Index("causal")] = (int)causal;
        all[Index("mask")] = (int)mask;
        all[Index("scores")] = scores is ScoreStage stage ? 1 + (int)stage : 0;
        return new VariantKind(all);
    }

    /// <summary>The plain problem with random choices of some things, by their names.</summary>
    public static VariantKind Draw(Random random, params ReadOnlySpan<string> factors)
    {
        var all = new int[_factors.Length];
        foreach (string factor in factors)
        {
            int index = Index(factor);
            all[index] = random.Next(_factors[index].Choices.Length);
        }

        return new VariantKind(all);
    }

    /// <summary>The place of a thing among them, by name.</summary>
    public static int Index(string name) => Array.FindIndex(_factors, factor => factor.Name == name);

    public ElementForm Element => (ElementForm)Choices[0];

    public Causal Causal => (Causal)Choices[1];

    public bool Prefix => Choices[2] == 1;

    public WindowForm Window => (WindowForm)Choices[3];

    public bool Softcap => Choices[4] == 1;

    public bool Alibi => Choices[5] != 0;

    public bool AlibiOfEntries => Choices[5] == 2;

    public bool Sinks => Choices[6] == 1;

    public VariantMask Mask => (VariantMask)Choices[7];

    public bool Documents => Choices[8] == 1;

    public SequenceForm Sequences => (SequenceForm)Choices[9];

    public bool IsRagged => Sequences is SequenceForm.Ragged or SequenceForm.RaggedKeyLengths or SequenceForm.RaggedEnd;

    public LayoutForm Layout => (LayoutForm)Choices[10];

    public bool Grouped => Choices[11] == 1;

    public bool OwnValueSize => Choices[12] == 1;

    public NormForm Norm => (NormForm)Choices[13];

    public RotaryForm Rotary => (RotaryForm)Choices[14];

    /// <summary>The scores that are asked for; null for none.</summary>
    public ScoreStage? Scores => Choices[15] == 0 ? null : (ScoreStage)(Choices[15] - 1);

    public bool LogSumExp => Choices[16] == 1;

    public bool Present => Choices[17] != 0;

    public bool PresentInPlace => Choices[17] == 2;

    public bool FewQueries => Choices[18] == 1;

    public bool DistanceBias => Choices[Index("distance bias")] == 1;

    public PaddingForm Padding => (PaddingForm)Choices[Index("key padding")];

    public ExtraForm Extra => (ExtraForm)Choices[Index("extra keys")];

    /// <summary>How many of the axes of batch and heads the tensors leave out.</summary>
    public int AxesLeftOut => Choices[Index("axes")];

    /// <summary>Whether the engine takes such a problem.</summary>
    public bool IsValid =>
        (!Prefix || Causal != Causal.None)
        && (AxesLeftOut == 0 || Layout is LayoutForm.HeadsFirst or LayoutForm.Permuted)
        && (AxesLeftOut < 2 || !Grouped)
        && (!IsRagged
            || (!Prefix && AxesLeftOut == 0 && Padding == PaddingForm.None && Mask == VariantMask.None && !Documents && Scores is null
                && !Present && Layout == LayoutForm.HeadsFirst));

    public override string ToString() =>
        string.Join(", ", _factors.Zip(Choices).Where(pair => pair.Second != 0).Select(pair => pair.First.Choices[pair.Second]));
}
