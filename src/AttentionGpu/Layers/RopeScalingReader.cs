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

    private const string Original = "original_max_position_embeddings";
    private const string Longest = "max_position_embeddings";

    private static readonly string[] _everywhere = ["type", "rope_type", "rope_theta", "partial_rotary_factor"];

    private static readonly string[] _longRope = ["short_factor", "long_factor", "factor", "attention_factor", Original];

    private static readonly Dictionary<string, string[]> _membersByType = new(StringComparer.Ordinal)
    {
        ["default"] = [],
        ["linear"] = ["factor"],
        ["dynamic"] = ["factor", Original],
        ["longrope"] = [.. _longRope],
        ["su"] = [.. _longRope],
        ["llama3"] = ["factor", "low_freq_factor", "high_freq_factor", Original],
        ["yarn"] = ["factor", Original, "beta_fast", "beta_slow", "attention_factor", "truncate"],
    };

    private readonly JsonElement _root;
    private readonly JsonElement? _scaling;
    private readonly string _name = "rope_scaling";
    private readonly Func<string, InvalidDataException> _error;

    /// <param name="root">The whole configuration.</param>
    /// <param name="error">Makes the exception for what it has.</param>
    /// <param name="hasWindow">Whether the layer has a sliding window, where the file tells two kinds of layers.</param>
    public RopeScalingReader(JsonElement root, Func<string, InvalidDataException> error, bool hasWindow)
    {
        (_root, _error) = (root, error);
        _scaling = Object(_name);
        if (Object(Parameters) is JsonElement parameters)
        {
            if (_scaling is not null)
                throw _error($"has both '{_name}' and '{Parameters}'");
            (_scaling, _name) = (parameters, Parameters);
            string kind = hasWindow ? "sliding_attention" : "full_attention";
            if (parameters.TryGetProperty(kind, out JsonElement own))
            {
                (_scaling, _name) = own.ValueKind == JsonValueKind.Object
                    ? (own, $"{Parameters}.{kind}")
                    : throw _error($"has a '{Parameters}.{kind}' that is no object");
                IsOfKind = true;
            }
        }
    }

    /// <summary>Whether the file has an object that scales frequencies, or says that it does not.</summary>
    public bool HasScaling => _scaling is not null;

    /// <summary>Whether the file has numbers for each kind of layers, with a window and without.</summary>
    public bool IsOfKind { get; }

    /// <summary>A number of the configuration, or of its <c>rope_parameters</c>; null where it is in neither.</summary>
    public double? Number(string member)
    {
        double? outside = Number(_root, member, member);
        double? inside = _scaling is JsonElement scaling ? Number(scaling, member, $"{_name}.{member}") : null;
        return outside is not null && inside is not null && outside != inside
            ? throw _error($"has '{member}' = {outside} and '{_name}.{member}' = {inside}")
            : inside ?? outside;
    }

    /// <summary>How frequencies are changed; null for not at all.</summary>
    public RotaryScaling? Scaling()
    {
        if (_scaling is not JsonElement scaling)
            return null;
        string type = Text(scaling, "rope_type") ?? Text(scaling, "type") ?? throw _error($"has no '{_name}.rope_type'");
        if (!_membersByType.TryGetValue(type, out string[]? members))
            throw _error($"has '{_name}.rope_type' = '{type}', which this layer does not do");
        foreach (JsonProperty member in scaling.EnumerateObject())
        {
            if (member.Value.ValueKind != JsonValueKind.Null && !members.Contains(member.Name) && !_everywhere.Contains(member.Name))
                throw _error($"has '{_name}.{member.Name}', which this layer does not do where the type is '{type}'");
        }

        return type switch
        {
            "linear" => RotaryScaling.Linear(Required("factor")),
            "dynamic" => RotaryScaling.Dynamic(Required("factor"), OriginalContext(Longest)),
            "longrope" or "su" => LongRope(),
            "llama3" => RotaryScaling.Llama3(
                Required("factor"), Required("low_freq_factor"), Required("high_freq_factor"), OriginalContext()),
            "yarn" => RotaryScaling.Yarn(
                Required("factor"), OriginalContext(), Optional("beta_fast") ?? 32.0,
                Optional("beta_slow") ?? 1.0, Optional("attention_factor"), Flag("truncate") ?? true),
            _ => null,
        };
    }

    private bool HasOriginal => _root.TryGetProperty(Original, out JsonElement own) && own.ValueKind != JsonValueKind.Null;

    private JsonElement? Object(string member)
    {
        if (!_root.TryGetProperty(member, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
            return null;
        return value.ValueKind == JsonValueKind.Object ? value : throw _error($"has a '{member}' that is no object");
    }

    private double? Optional(string member) => Number(_scaling!.Value, member, $"{_name}.{member}");

    private double Required(string member) => Optional(member) ?? throw _error($"has no '{_name}.{member}'");

    private RotaryScaling LongRope()
    {
        int original = OriginalContext(Longest);

        // Phi-3 has the original context beside the scaling, and the factor follows from both contexts.
        double factor = HasOriginal
            ? (double)Context(_root, Longest, Longest) / original
            : Optional("factor") ?? throw _error($"has neither '{_name}.factor' nor '{Original}'");
        double magnitude = Optional("attention_factor") ?? (factor <= 1.0 ? 1.0 : Math.Sqrt(1.0 + Math.Log(factor) / Math.Log(original)));
        return RotaryScaling.LongRope(Divisors("short_factor"), Divisors("long_factor"), original, magnitude);
    }

    private double[] Divisors(string member)
    {
        if (!_scaling!.Value.TryGetProperty(member, out JsonElement list) || list.ValueKind != JsonValueKind.Array)
            throw _error($"has no list '{_name}.{member}'");
        return
        [
            .. list.EnumerateArray().Select(one => one.ValueKind == JsonValueKind.Number && one.TryGetDouble(out double number)
                ? number
                : throw _error($"has a '{_name}.{member}' with {Excerpt.Of(one.GetRawText())}; its elements must be numbers")),
        ];
    }

    // Of the scaling, else of the configuration, else its context as a whole where the kind allows that.
    private int OriginalContext(string? otherwise = null) =>
        _scaling!.Value.TryGetProperty(Original, out JsonElement own) && own.ValueKind != JsonValueKind.Null
            ? Context(_scaling.Value, Original, $"{_name}.{Original}")
        : otherwise is null ? throw _error($"has no '{_name}.{Original}'")
        : HasOriginal ? Context(_root, Original, Original)
        : Context(_root, otherwise, otherwise);

    private int Context(JsonElement from, string member, string name)
    {
        double value = Number(from, member, name) ?? throw _error($"has no '{name}'");
        return value is >= 1 and <= int.MaxValue && Math.Floor(value) == value
            ? (int)value
            : throw _error($"has '{name}' = {value}; it must be a whole number of at least 1");
    }

    private bool? Flag(string member) =>
        !_scaling!.Value.TryGetProperty(member, out JsonElement value) || value.ValueKind == JsonValueKind.Null ? null
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean()
        : throw _error($"has '{_name}.{member}' = {Excerpt.Of(value.GetRawText())}; it must be true or false");

    private string? Text(JsonElement from, string member) =>
        !from.TryGetProperty(member, out JsonElement value) || value.ValueKind == JsonValueKind.Null ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString()
        : throw _error($"has '{_name}.{member}' = {Excerpt.Of(value.GetRawText())}; it must be a text");

    private double? Number(JsonElement from, string member, string name) =>
        !from.TryGetProperty(member, out JsonElement value) || value.ValueKind == JsonValueKind.Null ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) ? number
        : throw _error($"has '{name}' = {Excerpt.Of(value.GetRawText())}; it must be a number");
}
