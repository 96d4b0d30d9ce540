using System.Text.Json;
using AttentionGpu.Serialization;

namespace AttentionGpu.Layers;

/// <summary>Members of a <c>config.json</c>, checked.</summary>
/// <param name="root">The object that has them.</param>
/// <param name="error">Makes the exception for what it has.</param>
internal sealed class ConfigurationMembers(JsonElement root, Func<string, InvalidDataException> error)
{
    public JsonElement Root => root;

    /// <summary>The exception for what the object has.</summary>
    public InvalidDataException Error(string what) => error(what);

    /// <summary>A member; null where it is left out or null.</summary>
    public JsonElement? Find(string member) =>
        root.TryGetProperty(member, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    public bool IsPresent(string member) => Find(member) is not null;

    /// <summary>Whether a member is true; one that is left out is not.</summary>
    public bool IsSet(string member) => Find(member) is JsonElement value && value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw error($"has '{member}' = {Excerpt.Of(value.GetRawText())}; it must be true or false"),
    };

    /// <summary>A number of more than 0.</summary>
    public double Required(string member) =>
        Find(member) is not JsonElement value ? throw error($"has no '{member}'")
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number > 0.0 && float.IsFinite((float)number)
            ? number
        : throw error($"has '{member}' = {Excerpt.Of(value.GetRawText())}; it must be a number of more than 0");

    /// <summary>A whole number.</summary>
    public int Required(string member, int least) =>
        Find(member) is not JsonElement value ? throw error($"has no '{member}'")
        : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= least ? number
        : throw error($"has '{member}' = {Excerpt.Of(value.GetRawText())}; it must be a whole number of at least {least}");

    /// <summary>A text; null where it is left out.</summary>
    public string? Text(string member) =>
        Find(member) is not JsonElement value ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString()
        : throw error($"has '{member}' = {Excerpt.Of(value.GetRawText())}; it must be a text");

    /// <summary>A list of texts; empty where it is left out.</summary>
    public string[] Texts(string member) =>
        Find(member) is not JsonElement value ? []
        : value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(one => one.ValueKind == JsonValueKind.String)
            ? [.. value.EnumerateArray().Select(one => one.GetString()!)]
        : throw error($"has '{member}' = {Excerpt.Of(value.GetRawText())}; it must be a list of texts");
}
