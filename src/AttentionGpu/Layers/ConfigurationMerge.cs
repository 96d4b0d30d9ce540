using System.Text.Json;
using System.Text.Json.Nodes;
using AttentionGpu.Serialization;

namespace AttentionGpu.Layers;

/// <summary>
/// The members of a configuration as a family reads them: with its defaults, and with those of a nested object beside the others.
/// </summary>
internal static class ConfigurationMerge
{
    // An object in a nested one may say the type of its own.
    private const string ModelType = "model_type";

    /// <param name="root">The configuration.</param>
    /// <param name="defaults">Objects with defaults; later ones stand over earlier ones.</param>
    /// <param name="nested">The member that is the nested object; null for none.</param>
    /// <param name="error">Makes the exception for what the configuration has.</param>
    /// <exception cref="InvalidDataException">A nested member is there twice, or the nested object is none.</exception>
    public static JsonElement Of(JsonElement root, string[] defaults, string? nested, Func<string, InvalidDataException> error)
    {
        var merged = new JsonObject();
        foreach (string text in defaults)
        {
            using var members = JsonDocument.Parse(text);
            foreach (JsonProperty member in members.RootElement.EnumerateObject())
                merged[member.Name] = Node(member);
        }

        var own = new HashSet<string>(StringComparer.Ordinal);
        foreach (JsonProperty member in root.EnumerateObject().Where(member => member.Name != nested))
        {
            own.Add(member.Name);
            merged[member.Name] = Node(member);
        }

        if (nested is not null && root.TryGetProperty(nested, out JsonElement inner) && inner.ValueKind != JsonValueKind.Null)
        {
            if (inner.ValueKind != JsonValueKind.Object)
                throw error($"has a '{nested}' that is no object");
            foreach (JsonProperty member in inner.EnumerateObject().Where(member => member.Name != ModelType))
            {
                if (!own.Add(member.Name))
                    throw error($"has '{Excerpt.Of(member.Name)}' twice, beside and in '{nested}'");
                merged[member.Name] = Node(member);
            }
        }

        using var document = JsonDocument.Parse(merged.ToJsonString());
        return document.RootElement.Clone();
    }

    private static JsonNode? Node(JsonProperty member) =>
        member.Value.ValueKind == JsonValueKind.Null ? null : JsonNode.Parse(member.Value.GetRawText());
}
