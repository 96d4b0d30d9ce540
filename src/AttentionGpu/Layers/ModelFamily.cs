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
}

/// <summary>
/// What all models of a <c>model_type</c> have in common and their <c>config.json</c> does not say. A type that is not listed is refused:
/// whether elements of a pair are neighbours, for one, stands nowhere else.
/// </summary>
internal sealed record ModelFamily
{
    /// <summary>Whether queries and keys are rotated.</summary>
    public bool HasRotary { get; init; } = true;

    /// <summary>Whether the elements of a rotated pair are neighbours.</summary>
    public bool IsInterleaved { get; init; }

    /// <summary>The base of the frequencies where <c>rope_theta</c> is left out; null where it must be there.</summary>
    public double? DefaultBase { get; init; }

    public WindowedLayers Window { get; init; }

    /// <summary>Whether <c>q_norm</c> and <c>k_norm</c> are root-mean-square norms with <c>rms_norm_eps</c>.</summary>
    public bool HasNorms { get; init; }

    /// <summary>The member whose inverse square root is the scale of scores; null for the head size.</summary>
    public string? ScaleSource { get; init; }

    /// <summary>The member that is the scale of scores.</summary>
    public string? Scale { get; init; }

    /// <summary>The member that caps scores.</summary>
    public string? Softcap { get; init; }

    /// <summary>The member that is the number of rotated elements of a head.</summary>
    public string? RotarySize { get; init; }

    private static readonly ModelFamily _plain = new();
    private static readonly ModelFamily _windowed = new() { Window = WindowedLayers.All };
    private static readonly ModelFamily _qwen2 = new() { Window = WindowedLayers.FromMaxWindowLayers };
    private static readonly ModelFamily _qwen3 = _qwen2 with { HasNorms = true };
    private static readonly ModelFamily _withoutRotary = new() { HasRotary = false };

    private static readonly Dictionary<string, ModelFamily> _all = new(StringComparer.Ordinal)
    {
        ["llama"] = new() { DefaultBase = 10_000.0 },
        ["mistral"] = _windowed,
        ["mixtral"] = _windowed,
        ["starcoder2"] = _windowed,
        ["qwen2"] = _qwen2,
        ["qwen2_moe"] = _qwen2,
        ["qwen3"] = _qwen3,
        ["qwen3_moe"] = _qwen3,
        ["gemma"] = _plain,
        ["gemma2"] = new()
        {
            Window = WindowedLayers.EverySecond,
            ScaleSource = "query_pre_attn_scalar",
            Softcap = "attn_logit_softcapping",
        },
        ["gpt_oss"] = new() { Window = WindowedLayers.EverySecond },
        ["gptj"] = new() { IsInterleaved = true, DefaultBase = 10_000.0, RotarySize = "rotary_dim" },
        ["granite"] = new() { Scale = "attention_multiplier" },
        ["olmo"] = _plain,
        ["stablelm"] = _plain,
        ["bart"] = _withoutRotary,
        ["blenderbot"] = _withoutRotary,
        ["blenderbot-small"] = _withoutRotary,
        ["clip"] = _withoutRotary,
        ["clip_text_model"] = _withoutRotary,
        ["clip_vision_model"] = _withoutRotary,
        ["m2m_100"] = _withoutRotary,
        ["marian"] = _withoutRotary,
        ["mbart"] = _withoutRotary,
        ["opt"] = _withoutRotary,
        ["pegasus"] = _withoutRotary,
        ["whisper"] = _withoutRotary,
    };

    /// <summary>The family of a <c>model_type</c>; null where it is not known.</summary>
    public static ModelFamily? Find(string modelType) => _all.GetValueOrDefault(modelType);

    /// <summary>The types that are known, for messages.</summary>
    public static string Names => string.Join(", ", _all.Keys.Order(StringComparer.Ordinal));

    /// <summary>The members of <c>config.json</c> that only some families have, and this one reads.</summary>
    public IEnumerable<string> OwnMembers =>
    [
        .. Window == WindowedLayers.None ? [] : (string[])["sliding_window"],
        .. Window == WindowedLayers.FromMaxWindowLayers ? (string[])["use_sliding_window", "max_window_layers"] : [],
        .. new[] { ScaleSource, Scale, Softcap, RotarySize }.OfType<string>(),
    ];
}
