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

    private static readonly string[] _everywhere = ["type", "rope_type", "rope_theta", "partial_rotary_factor"];

    private static readonly Dictionary<string, string[]> _membersByType = new(StringComparer.Ordinal)
    {
        ["default"] = [],
        ["linear"] = ["factor"],
        ["llama3"] = ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
        ["yarn"] = ["factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor", "truncate"],
    };

    private readonly JsonElement _root;
    private readonly JsonElement? _scaling;
    private readonly string _name = "rope_scaling";
    private readonly Func<string, InvalidDataException> _error;

    /// <param name="root">The whole configuration.</param>
    /// <param name="error">Makes the exception for what it has.</param>
    public RopeScalingReader(JsonElement root, Func<string, InvalidDataException> error)
    {
        (_root, _error) = (root, error);
        _scaling = Object(_name);
        if (Object(Parameters) is JsonElement parameters)
        {
            if (_scaling is not null)
                throw _error($"has both '{_name}' and '{Parameters}'");
            (_scaling, _name) = (parameters, Parameters);
        }
    }

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
            "llama3" => RotaryScaling.Llama3(
                Required("factor"), Required("low_freq_factor"), Required("high_freq_factor"), Context("original_max_position_embeddings")),
            "yarn" => RotaryScaling.Yarn(
                Required("factor"), Context("original_max_position_embeddings"), Optional("beta_fast") ?? 32.0,
                Optional("beta_slow") ?? 1.0, Optional("attention_factor"), Flag("truncate") ?? true),
            _ => null,
        };
    }

    private JsonElement? Object(string member)
    {
        if (!_root.TryGetProperty(member, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
            return null;
        return value.ValueKind == JsonValueKind.Object ? value : throw _error($"has a '{member}' that is no object");
    }

    private double? Optional(string member) => Number(_scaling!.Value, member, $"{_name}.{member}");

    private double Required(string member) => Optional(member) ?? throw _error($"has no '{_name}.{member}'");

    private int Context(string member)
    {
        double value = Required(member);
        return value is >= 1 and <= int.MaxValue && Math.Floor(value) == value
            ? (int)value
            : throw _error($"has '{_name}.{member}' = {value}; it must be a whole number of at least 1");
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
