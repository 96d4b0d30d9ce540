using System.Text.Json;
using AttentionGpu.Tensors;

namespace AttentionGpu.Layers;

/// <summary>
/// The query heads of a layer, given by the caller or by the <c>config.json</c> beside the checkpoint. Numbers of heads are read from the
/// configuration of any model, known or not, so that one given by hand cannot contradict it.
/// </summary>
internal static class ConfiguredHeads
{
    // Of models whose type is not known.
    private static readonly string[] _names =
        ["num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads"];

    /// <summary>The number of heads.</summary>
    /// <param name="checkpoint">The checkpoint's path.</param>
    /// <param name="prefix">What stands before the layer's names, the final dot included.</param>
    /// <param name="given">The caller's number; null for that of the configuration.</param>
    /// <exception cref="ArgumentException">It is not given, and the configuration does not tell it, or tells several.</exception>
    /// <exception cref="InvalidDataException">The configuration has another number, or is malformed.</exception>
    public static int Choose(string checkpoint, string prefix, int? given)
    {
        string path = ModelConfiguration.PathBeside(checkpoint);
        JsonElement? root = ModelConfiguration.ReadBeside(checkpoint);
        (string Name, int Value)[] found = root is JsonElement members ? [.. Find(path, members, prefix).Distinct()] : [];
        int[] values = [.. found.Select(member => member.Value).Distinct()];
        string named = string.Join(" and ", found.Select(member => $"'{member.Name}' = {member.Value}"));
        return (given, values) switch
        {
            (int heads, []) => heads,
            (int heads, _) when values.Contains(heads) => heads,
            (int heads, _) => throw new InvalidDataException($"'{path}' has {named}, but the layer has {heads}."),
            (null, [int only]) => only,
            (null, []) => throw Missing(root is null ? $"there is no '{path}' to tell them" : $"'{path}' does not tell them"),
            _ => throw Missing($"'{path}' has {named}"),
        };
    }

    private static ArgumentException Missing(string reason) =>
        BadInput.Because("heads", $"'heads' must be given (--heads of the command line): {reason}.");

    private static IEnumerable<(string Name, int Value)> Find(string path, JsonElement root, string prefix)
    {
        (JsonElement Members, LayerPlace Place)[] places = [.. Places(path, root, part: null)];
        if (places.Length == 0)
        {
            return root.EnumerateObject().Select(member => member.Value).Where(value => value.ValueKind == JsonValueKind.Object)
                .Prepend(root).SelectMany(section => Numbers(section, _names));
        }

        (JsonElement Members, LayerPlace Place)[] own = [.. places.Where(one => one.Place.IsPrefix(prefix))];
        return (own.Length > 0 ? own : places).SelectMany(one => Numbers(one.Members, one.Place.Heads).Take(1));
    }

    // Where a model of a known type has layers, with the members of its own part; none for others.
    private static IEnumerable<(JsonElement Members, LayerPlace Place)> Places(string path, JsonElement root, ModelPart? part)
    {
        if ((ModelConfiguration.FindType(root) ?? part?.ModelType) is not string type || ModelFamilies.Find(type) is not ModelFamily family)
            return [];
        JsonElement members = ConfigurationMerge.Of(
            root, [part?.Defaults ?? "{}", family.Defaults], family.Nested, what => new InvalidDataException($"'{path}' {what}."));
        return
        [
            .. family.Places.Select(place => (members, part?.Root is null ? place : place with { Root = part.Root })),
            .. family.Parts.Where(own => own.Refusal is null && members.TryGetProperty(own.Section, out JsonElement section)
                && section.ValueKind == JsonValueKind.Object).SelectMany(own => Places(path, members.GetProperty(own.Section), own)),
        ];
    }

    private static IEnumerable<(string Name, int Value)> Numbers(JsonElement section, string[] names)
    {
        foreach (string name in names)
        {
            if (section.ValueKind == JsonValueKind.Object && section.TryGetProperty(name, out JsonElement member)
                && member.ValueKind == JsonValueKind.Number && member.TryGetInt32(out int value) && value > 0)
            {
                yield return (name, value);
            }
        }
    }
}
