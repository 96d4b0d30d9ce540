using System.Text.Json;

namespace AttentionGpu.Serialization;

/// <summary>
/// The index of a checkpoint of several files: <c>model.safetensors.index.json</c>, which says in which file each tensor is.
/// </summary>
internal static class CheckpointIndex
{
    public const string Extension = ".index.json";

    private const string Map = "weight_map";

    // An index has a line for each tensor of a model.
    private const long MostBytes = 100_000_000;

    /// <summary>Reads an index: the file's name for each tensor.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is malformed, names a tensor twice, or names a file outside its folder.</exception>
    public static IReadOnlyDictionary<string, string> Read(string path)
    {
        using FileStream stream = File.OpenRead(path);
        if (stream.Length > MostBytes)
            throw Error(path, $"has {stream.Length:N0} bytes; an index has at most {MostBytes:N0}");
        try
        {
            using var document = StrictJson.Parse(stream);
            if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty(Map, out JsonElement map)
                || map.ValueKind != JsonValueKind.Object)
            {
                throw Error(path, $"has no object '{Map}'");
            }

            var files = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (JsonProperty tensor in map.EnumerateObject())
            {
                string file = tensor.Value.ValueKind == JsonValueKind.String
                    ? tensor.Value.GetString()!
                    : throw Error(path, $"has '{Excerpt.Of(tensor.Name)}' = {Excerpt.Of(tensor.Value.GetRawText())}; it must be the name of a file");
                RequireInFolder(path, file);
                if (!files.TryAdd(tensor.Name, file))
                    throw Error(path, $"has the tensor '{Excerpt.Of(tensor.Name)}' twice");
            }

            return files.Count > 0 ? files : throw Error(path, $"has an empty '{Map}'");
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{path}' is no valid JSON: {exception.Message}", exception);
        }
    }

    /// <summary>The exception for an index that cannot be used.</summary>
    public static InvalidDataException Error(string path, string what) => new($"The index '{path}' {what}.");

    // The names are data of somebody else: one with a path in it could be any file of the machine. Links in the folder are the user's own
    // (the cache of the Hub has nothing else), and are followed.
    private static void RequireInFolder(string path, string file)
    {
        if (file.Length == 0 || file is "." or ".." || file.AsSpan().IndexOfAny("/\\:\0") >= 0)
            throw Error(path, $"names the file '{Excerpt.Of(file)}'; it must be a name in the folder of the index, without a path");
    }
}
