namespace AttentionGpu.Layers;

/// <summary>Which layers of a model have a sliding window, where its <c>config.json</c> does not list it layer by layer.</summary>
internal enum WindowedLayers
{
    /// <summary>None.</summary>
    None,

    /// <summary>All, if <c>sliding_window</c> is a number.</summary>
    All,

    /// <summary>The first, third and so on.</summary>
    EverySecond,

    /// <summary>Those from <c>max_window_layers</c> on, if <c>use_sliding_window</c> is set.</summary>
    FromMaxWindowLayers,

    /// <summary>All but the last of each <c>sliding_window_pattern</c> layers.</summary>
    AllButLastOfPattern,

    /// <summary>
    /// All but the first of each <c>global_attn_every_n_layers</c> layers: half of <c>local_attention</c> to both sides.
    /// </summary>
    AllButFirstToBothSides,
}

/// <summary>
/// How <c>q_norm.weight</c> and <c>k_norm.weight</c> are stored, which are root-mean-square norms with <c>rms_norm_eps</c>.
/// </summary>
internal enum StoredNorms
{
    /// <summary>There are none.</summary>
    None,

    /// <summary>As they are.</summary>
    Plain,

    /// <summary>Less 1 (Gemma 3).</summary>
    LessOne,
}

/// <summary>How the slopes of ALiBi follow from the number of heads.</summary>
internal enum AlibiKind
{
    /// <summary>There is no ALiBi.</summary>
    None,

    /// <summary>As the authors' code has it.</summary>
    Bloom,

    /// <summary>MPT's, with <c>alibi_bias_max</c> in the place of 8.</summary>
    Mpt,
}

/// <summary>
/// What all models of a <c>model_type</c> have in common and their <c>config.json</c> does not say. A type that is not listed is refused:
/// whether elements of a pair are neighbours, for one, stands nowhere else.
/// </summary>
internal sealed record ModelFamily
{
    /// <summary>The member that is the distance from which on all share a bucket.</summary>
    public const string DistanceMember = "relative_attention_max_distance";

    /// <summary>Where the layers are; none where attention of this kind cannot be computed.</summary>
    public LayerPlace[] Places { get; init; } = [];

    /// <summary>The models that this one is made of; its own places are empty then.</summary>
    public ModelPart[] Parts { get; init; } = [];

    /// <summary>
    /// Members that <c>config.json</c> may leave out, with the values that they have then: the defaults of the family's configuration, as a
    /// JSON object.
    /// </summary>
    public string Defaults { get; init; } = "{}";

    /// <summary>A member that is an object with members of attention, which are read like those beside it; null for none.</summary>
    public string? Nested { get; init; }

    /// <summary>Why layers of the family cannot be computed; null where they can.</summary>
    public string? Refusal { get; init; }

    /// <summary>Whether queries and keys are rotated.</summary>
    public bool HasRotary { get; init; } = true;

    /// <summary>Whether the elements of a rotated pair are neighbours.</summary>
    public bool IsInterleaved { get; init; }

    /// <summary>The member that is the base of the frequencies.</summary>
    public string Base { get; init; } = "rope_theta";

    /// <summary>The base of the frequencies where the member is left out; null where it must be there.</summary>
    public double? DefaultBase { get; init; }

    /// <summary>The base in layers with a window, whose frequencies are not scaled either; null for the same as in others.</summary>
    public string? WindowBase { get; init; }

    /// <summary>The member that is the rotated part of a head; null for <c>partial_rotary_factor</c>, which may be left out.</summary>
    public string? RotaryPart { get; init; }

    /// <summary>The member that is the number of rotated elements of a head.</summary>
    public string? RotarySize { get; init; }

    /// <summary>The slopes of a bias by distance.</summary>
    public AlibiKind Alibi { get; init; }

    public WindowedLayers Window { get; init; }

    public StoredNorms Norms { get; init; }

    /// <summary>Whether layers have <c>sinks</c>.</summary>
    public bool HasSinks { get; init; }

    /// <summary>The member whose inverse square root is the scale of scores; null for the head size.</summary>
    public string? ScaleSource { get; init; }

    /// <summary>The member that is the scale of scores, if it is a number.</summary>
    public string? Scale { get; init; }

    /// <summary>The scale of scores of all layers of the family; null for one of the others.</summary>
    public float? FixedScale { get; init; }

    /// <summary>The member that, where it is true, divides the scale of scores by the layer's number, from 1 on.</summary>
    public string? ScaleByLayer { get; init; }

    /// <summary>Whether frequencies are always scaled, so that a file without a scaling is not complete.</summary>
    public bool NeedsScaling { get; init; }

    /// <summary>The member that is the head size, under a name of the family's own.</summary>
    public string? HeadSize { get; init; }

    /// <summary>The member that caps scores.</summary>
    public string? Softcap { get; init; }

    /// <summary>
    /// Whether the number of key/value heads follows from <c>new_decoder_architecture</c> and <c>multi_query</c> (Falcon).
    /// </summary>
    public bool HasMultiQueryFlag { get; init; }

    /// <summary>Members that must be false or left out, although their names do not speak of attention.</summary>
    public string[] MustBeOff { get; init; } = [];

    /// <summary>Members that must have a value if they are there, as JSON has it.</summary>
    public (string Member, string Value)[] MustBe { get; init; } = [];

    /// <summary>Members that only this family has, and that do not change a layer.</summary>
    public string[] WithoutInfluence { get; init; } = [];

    /// <summary>The members of <c>config.json</c> that only some families have, and this one reads.</summary>
    public IEnumerable<string> OwnMembers =>
    [
        .. Window switch
        {
            WindowedLayers.None => [],
            WindowedLayers.AllButFirstToBothSides => ["global_attn_every_n_layers", "local_attention"],
            WindowedLayers.FromMaxWindowLayers => ["sliding_window", "use_sliding_window", "max_window_layers"],
            WindowedLayers.AllButLastOfPattern => ["sliding_window", "sliding_window_pattern", "_sliding_window_pattern"],
            _ => (string[])["sliding_window"],
        },
        .. HasMultiQueryFlag ? (string[])["num_kv_heads"] : [],
        .. Alibi == AlibiKind.Mpt ? (string[])["alibi_bias_max"] : [],
        .. Places.Any(place => place.RelativeBias is not null) ? (string[])["relative_attention_num_buckets", DistanceMember] : [],
        .. Places.SelectMany(place => place.Heads),
        .. Places.Select(place => place.KeyValueHeads),
        .. Parts.Select(part => part.Section),
        .. MustBe.Select(pair => pair.Member),
        .. new[] { Base, WindowBase, RotaryPart, ScaleSource, Scale, Softcap, RotarySize, HeadSize, Nested, ScaleByLayer }.OfType<string>(),
        .. WithoutInfluence,
    ];
}
