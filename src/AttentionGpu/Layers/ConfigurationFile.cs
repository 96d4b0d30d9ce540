using System.Text.Json;
using AttentionGpu.Serialization;

namespace AttentionGpu.Layers;

/// <summary>A small JSON file with an object.</summary>
internal static class ConfigurationFile
{
    private const long MostBytes = 1 << 24;

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is too large, no JSON, or no object.</exception>
    public static JsonElement Read(string path)
    {
        using FileStream stream = File.OpenRead(path);
        if (stream.Length > MostBytes)
            throw new InvalidDataException($"'{path}' has {stream.Length} bytes; a model's configuration has at most {MostBytes}.");
        try
        {
            using var document = StrictJson.Parse(stream);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? document.RootElement.Clone()
                : throw new InvalidDataException($"'{path}' is no JSON object.");
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{path}' is no valid JSON: {exception.Message}", exception);
        }
    }
}
