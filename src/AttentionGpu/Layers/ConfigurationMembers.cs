using System.Text.Json;
using AttentionGpu.Serialization;

namespace AttentionGpu.Layers;

/// <summary>Members of a <c>config.json</c>, checked.</summary>
/// <param name="root">The object that has them.</param>
/// <param name="error">Makes the exception for what it has.</param>
/// <param name="path">Stands before the names of members in messages: <c>rope_scaling.</c>, or nothing.</param>
internal sealed class ConfigurationMembers(JsonElement root, Func<string, InvalidDataException> error, string path = "")
{
    public JsonElement Root => root;

    /// <summary>The exception for what the object has.</summary>
    public InvalidDataException Error(string what) => error(what);

    /// <summary>A member's name, as messages have it.</summary>
    public string NameOf(string member) => path + member;

    /// <summary>A member; null where it is left out or null.</summary>
    public JsonElement? Find(string member) =>
        root.TryGetProperty(member, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    public bool IsPresent(string member) => Find(member) is not null;

    /// <summary>Whether a member is true; one that is left out is not.</summary>
    public bool IsSet(string member) => Flag(member) == true;

    /// <summary>Whether a member is true; null where it is left out.</summary>
    public bool? Flag(string member) =>
        Find(member) is not JsonElement value ? null
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean()
        : throw Wrong(member, value, "true or false");

    /// <summary>A number; null where it is left out.</summary>
    public double? Number(string member) =>
        Find(member) is not JsonElement value ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) ? number
        : throw Wrong(member, value, "a number");

    /// <summary>A number of more than 0.</summary>
    public double Required(string member) =>
        Find(member) is not JsonElement value ? throw Missing(member)
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number > 0.0 && float.IsFinite((float)number)
            ? number
        : throw Wrong(member, value, "a number of more than 0");

    /// <summary>A whole number, which may be written with a point: 4096.0.</summary>
    public int Required(string member, int least) =>
        Find(member) is not JsonElement value ? throw Missing(member)
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number >= least && number <= int.MaxValue
            && Math.Floor(number) == number ? (int)number
        : throw Wrong(member, value, $"a whole number of at least {least}");

    /// <summary>A text; null where it is left out.</summary>
    public string? Text(string member) =>
        Find(member) is not JsonElement value ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString()
        : throw Wrong(member, value, "a text");

    /// <summary>A member that is an object; null where it is left out.</summary>
    public ConfigurationMembers? Section(string member) =>
        Find(member) is not JsonElement value ? null
        : value.ValueKind == JsonValueKind.Object ? new ConfigurationMembers(value, error, $"{NameOf(member)}.")
        : throw error($"has a '{NameOf(member)}' that is no object");

    /// <summary>A list of texts; empty where it is left out.</summary>
    public string[] Texts(string member) =>
        Find(member) is not JsonElement value ? []
        : value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(one => one.ValueKind == JsonValueKind.String)
            ? [.. value.EnumerateArray().Select(one => one.GetString()!)]
        : throw Wrong(member, value, "a list of texts");

    /// <summary>The exception for a member that is left out.</summary>
    public InvalidDataException Missing(string member) => error($"has no '{NameOf(member)}'");

    private InvalidDataException Wrong(string member, JsonElement value, string needed) =>
        error($"has '{NameOf(member)}' = {Excerpt.Of(value.GetRawText())}; it must be {needed}");
}
