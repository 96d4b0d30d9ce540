using System.Text.Json;

namespace AttentionGpu.Serialization;

/// <summary>JSON whose texts can all be read.</summary>
internal static class StrictJson
{
    /// <summary>
    /// Parses a file. Half of a surrogate pair, which JSON can write, would be another exception where the text is first read.
    /// </summary>
    /// <exception cref="JsonException">It is no valid JSON, or has a text that is no Unicode.</exception>
    public static JsonDocument Parse(Stream stream)
    {
        var document = JsonDocument.Parse(stream);
        try
        {
            ReadTexts(document.RootElement);
            return document;
        }
        catch (InvalidOperationException exception)
        {
            document.Dispose();
            throw new JsonException(exception.Message, exception);
        }
    }

    private static void ReadTexts(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String:
                _ = element.GetString();
                break;
            case JsonValueKind.Array:
                foreach (JsonElement inner in element.EnumerateArray())
                    ReadTexts(inner);
                break;
            case JsonValueKind.Object:
                foreach (JsonProperty member in element.EnumerateObject())
                {
                    _ = member.Name;
                    ReadTexts(member.Value);
                }

                break;
        }
    }
}
