using System.Text.Json;
using AttentionGpu.Serialization;

namespace AttentionGpu.Layers;

/// <summary>
/// The base, part and scaling of rotary embedding in a <c>config.json</c>: members of their own and <c>rope_scaling</c>, or in newer files
/// all in <c>rope_parameters</c>.
/// </summary>
internal sealed class RopeScalingReader
{
    public const string Parameters = "rope_parameters";

    private const string ScalingName = "rope_scaling";
    private const string Original = "original_max_position_embeddings";
    private const string Longest = "max_position_embeddings";

    private static readonly string[] _everywhere = ["type", "rope_type", "rope_theta", "partial_rotary_factor"];

    private static readonly string[] _longRope = ["short_factor", "long_factor", "factor", "attention_factor", Original];

    private static readonly Dictionary<string, string[]> _membersByType = new(StringComparer.Ordinal)
    {
        ["default"] = [],
        ["linear"] = ["factor"],
        ["dynamic"] = ["factor", Original],
        ["longrope"] = _longRope,
        ["su"] = _longRope,
        ["llama3"] = ["factor", "low_freq_factor", "high_freq_factor", Original],
        ["yarn"] = ["factor", Original, "beta_fast", "beta_slow", "attention_factor", "truncate"],
    };

    private readonly ConfigurationMembers _root;
    private readonly ConfigurationMembers? _scaling;

    /// <param name="root">The whole configuration.</param>
    /// <param name="hasWindow">Whether the layer has a sliding window, where the file tells two kinds of layers.</param>
    public RopeScalingReader(ConfigurationMembers root, bool hasWindow)
    {
        _root = root;
        _scaling = root.Section(ScalingName);
        if (root.Section(Parameters) is ConfigurationMembers parameters)
        {
            if (_scaling is not null)
                throw root.Error($"has both '{ScalingName}' and '{Parameters}'");
            ConfigurationMembers? ofKind = parameters.Section(hasWindow ? "sliding_attention" : "full_attention");
            (_scaling, IsOfKind) = (ofKind ?? parameters, ofKind is not null);
        }
    }

    /// <summary>Whether the file has an object that scales frequencies, or says that it does not.</summary>
    public bool HasScaling => _scaling is not null;

    /// <summary>Whether the file has numbers for each kind of layers, with a window and without.</summary>
    public bool IsOfKind { get; }

    /// <summary>A number of the configuration, or of the object with the scaling; null where it is in neither.</summary>
    public double? Number(string member)
    {
        double? outside = _root.Number(member);
        double? inside = _scaling?.Number(member);
        return outside is not null && inside is not null && outside != inside
            ? throw _root.Error($"has '{member}' = {outside} and '{_scaling!.NameOf(member)}' = {inside}")
            : inside ?? outside;
    }

    /// <summary>How frequencies are changed; null for not at all.</summary>
    public RotaryScaling? Scaling()
    {
        if (_scaling is not ConfigurationMembers scaling)
            return null;
        string type = scaling.Text("rope_type") ?? scaling.Text("type") ?? throw scaling.Missing("rope_type");
        if (!_membersByType.TryGetValue(type, out string[]? members))
            throw scaling.Error($"has '{scaling.NameOf("rope_type")}' = '{Excerpt.Of(type)}', which this layer does not do");
        foreach (JsonProperty member in scaling.Root.EnumerateObject())
        {
            if (member.Value.ValueKind != JsonValueKind.Null && !members.Contains(member.Name) && !_everywhere.Contains(member.Name))
            {
                throw scaling.Error(
                    $"has '{scaling.NameOf(Excerpt.Of(member.Name))}', which this layer does not do where the type is '{type}'");
            }
        }

        return type switch
        {
            "linear" => RotaryScaling.Linear(Required("factor")),
            "dynamic" => RotaryScaling.Dynamic(Required("factor"), OriginalContextOrWhole()),
            "longrope" or "su" => LongRope(scaling),
            "llama3" => RotaryScaling.Llama3(
                Required("factor"), Required("low_freq_factor"), Required("high_freq_factor"), scaling.Required(Original, 1)),
            "yarn" => RotaryScaling.Yarn(
                Required("factor"), scaling.Required(Original, 1), scaling.Number("beta_fast") ?? 32.0,
                scaling.Number("beta_slow") ?? 1.0, scaling.Number("attention_factor"), scaling.Flag("truncate") ?? true),
            _ => null,
        };

        // RotaryScaling says which numbers it takes.
        double Required(string member) => scaling.Number(member) ?? throw scaling.Missing(member);
    }

    private RotaryScaling LongRope(ConfigurationMembers scaling)
    {
        int original = OriginalContextOrWhole();

        // Phi-3 has the original context beside the scaling, and the factor follows from both contexts.
        double factor = _root.IsPresent(Original)
            ? (double)_root.Required(Longest, 1) / original
            : scaling.Number("factor") ?? throw _root.Error($"has neither '{scaling.NameOf("factor")}' nor '{Original}'");
        double magnitude = scaling.Number("attention_factor")
            ?? (factor <= 1.0 ? 1.0 : Math.Sqrt(1.0 + (Math.Log(factor) / Math.Log(original))));
        return RotaryScaling.LongRope(Divisors(scaling, "short_factor"), Divisors(scaling, "long_factor"), original, magnitude);
    }

    private static double[] Divisors(ConfigurationMembers scaling, string member)
    {
        string name = scaling.NameOf(member);
        if (scaling.Find(member) is not { ValueKind: JsonValueKind.Array } list)
            throw scaling.Error($"has no list '{name}'");
        return
        [
            .. list.EnumerateArray().Select(one => one.ValueKind == JsonValueKind.Number && one.TryGetDouble(out double number)
                ? number
                : throw scaling.Error($"has a '{name}' with {Excerpt.Of(one.GetRawText())}; its elements must be numbers")),
        ];
    }

    // Of the scaling, else of the configuration, else its context as a whole.
    private int OriginalContextOrWhole() =>
        _scaling!.IsPresent(Original) ? _scaling.Required(Original, 1)
        : _root.Required(_root.IsPresent(Original) ? Original : Longest, 1);
}
