using System.Text.Json;
using AttentionGpu.Layers;
using AttentionGpu.Serialization;

namespace AttentionGpu.Models;

/// <summary>
/// Layers that a user describes in a JSON file, for models that are not in the table of architectures: names of tensors, and members as a
/// <c>config.json</c> has them. <c>docs/models.md</c> has its members.
/// </summary>
internal static class ModelMapping
{
    private const string Layers = "layers";
    private const string Prefix = "prefix";
    private const string Joined = "joined";
    private const string Number = "N";

    // What the object says of names and of the kind of layer; the others are those of a config.json.
    private static readonly string[] _own =
    [
        Prefix, "stack", "cross", "causal", "query", "key", "value", "output", Joined, "order", "transposed", "ignore", "norms", "sinks",
        "alibi", "relative_bias", "interleaved",
    ];

    private static readonly string[] _configuration =
    [
        "num_attention_heads", "num_key_value_heads", "head_dim", "scale", "softcap", "rope_theta", "rope_scaling", "rotary_dim",
        "max_position_embeddings", "original_max_position_embeddings", "sliding_window", "layer_types", "rms_norm_eps", "alibi_bias_max",
        "relative_attention_num_buckets", "relative_attention_max_distance",
    ];

    /// <summary>The layers that a file describes.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is malformed, or has a member that is not known.</exception>
    public static (ModelConfiguration Configuration, LayerPlace Place)[] Read(string path)
    {
        JsonElement root = ConfigurationFile.Read(path);
        InvalidDataException Error(string what) => new($"'{path}' {what}.");
        RequireKnown(root, [Layers], Error);
        if (!root.TryGetProperty(Layers, out JsonElement list) || list.ValueKind != JsonValueKind.Array || list.GetArrayLength() == 0)
            throw Error($"has no list '{Layers}' of one object or more");
        return [.. list.EnumerateArray().Select((layer, index) => ReadLayer(layer, $"'{Layers}[{index}]' of '{path}'"))];
    }

    private static (ModelConfiguration Configuration, LayerPlace Place) ReadLayer(JsonElement layer, string name)
    {
        InvalidDataException Error(string what) => new($"{name} {what}.");
        if (layer.ValueKind != JsonValueKind.Object)
            throw Error("is no object");
        RequireKnown(layer, [.. _own, .. _configuration], Error);
        var members = new ConfigurationMembers(layer, Error);
        LayerPlace place = Place(members);
        var family = new ModelFamily
        {
            Places = [place],
            HasRotary = members.IsPresent("rope_theta"),
            IsInterleaved = members.IsSet("interleaved"),
            RotarySize = members.IsPresent("rotary_dim") ? "rotary_dim" : null,
            Window = members.IsPresent("sliding_window") ? WindowedLayers.All : WindowedLayers.None,
            Scale = "scale",
            Softcap = "softcap",
            Norms = Choice(
                members, "norms", "none", ("none", StoredNorms.None), ("plain", StoredNorms.Plain), ("less_one", StoredNorms.LessOne)),
            HasSinks = members.IsSet("sinks"),
            Alibi = Choice(members, "alibi", "none", ("none", AlibiKind.None), ("bloom", AlibiKind.Bloom), ("mpt", AlibiKind.Mpt)),
            WithoutInfluence = _own,
        };
        (bool HasNeeded, string Needed, string[] Members)[] needs =
        [
            (family.HasRotary, "'rope_theta'", ["rope_scaling", "rotary_dim", "interleaved"]),
            (family.Alibi == AlibiKind.Mpt, "'alibi' = 'mpt'", ["alibi_bias_max"]),
            (family.Norms != StoredNorms.None, "'norms'", ["rms_norm_eps"]),
            (place.RelativeBias is not null, "'relative_bias'", ["relative_attention_num_buckets", "relative_attention_max_distance"]),
        ];
        foreach ((bool hasNeeded, string needed, string[] dependent) in needs)
        {
            if (!hasNeeded && dependent.FirstOrDefault(members.IsPresent) is string alone)
                throw Error($"has '{alone}' and no {needed}");
        }

        return (ModelConfiguration.Of(name, layer, family), place);
    }

    private static LayerPlace Place(ConfigurationMembers members)
    {
        string prefix = members.Text(Prefix) ?? throw members.Error($"has no '{Prefix}'");
        string[] parts = prefix.Length == 0 ? [] : prefix.TrimEnd('.').Split('.');
        int number = Array.IndexOf(parts, Number);
        if (number != Array.LastIndexOf(parts, Number))
        {
            throw members.Error(
                $"has the '{Prefix}' '{Excerpt.Of(prefix)}'; it must have one part '{Number}' for the layer's number, or none");
        }

        bool isJoined = members.IsPresent(Joined);
        foreach (string name in new[] { "query", "key", "value" })
        {
            if (isJoined && members.IsPresent(name))
                throw members.Error($"has both '{Joined}' and '{name}'");
        }

        if (!isJoined && members.IsPresent("order"))
            throw members.Error($"has 'order' and no '{Joined}'");
        var usual = new ProjectionNames();
        return new LayerPlace(
            Choice(
                members, "stack", "encoder",
                [.. Enum.GetValues<ModelStack>().Select(stack => (stack.ToString().ToLowerInvariant(), stack))]),
            number < 0 ? "" : string.Join('.', parts[..number]),
            string.Join('.', parts[(number + 1)..]),
            new ProjectionNames
            {
                Query = members.Text("query") ?? usual.Query,
                Key = members.Text("key") ?? usual.Key,
                Value = members.Text("value") ?? usual.Value,
                Output = members.Text("output") ?? usual.Output,
                Joined = members.Text(Joined),
                Order = Choice(members, "order", "stacked", ("stacked", JoinedOrder.Stacked), ("grouped", JoinedOrder.Grouped)),
                IsTransposed = members.IsSet("transposed"),
                Others = members.Texts("ignore"),
            })
        {
            IsSingle = number < 0,
            IsExact = true,
            IsCross = members.IsSet("cross"),
            IsCausal = members.IsSet("causal"),
            RelativeBias = members.Text("relative_bias"),
        };
    }

    private static T Choice<T>(ConfigurationMembers members, string member, string usual, params (string Name, T Value)[] choices)
    {
        string name = members.Text(member) ?? usual;
        foreach ((string own, T value) in choices)
        {
            if (own == name)
                return value;
        }

        throw members.Error(
            $"has '{member}' = '{Excerpt.Of(name)}'; it must be one of: {string.Join(", ", choices.Select(choice => choice.Name))}");
    }

    private static void RequireKnown(JsonElement root, string[] known, Func<string, InvalidDataException> error)
    {
        var found = new HashSet<string>(StringComparer.Ordinal);
        foreach (JsonProperty member in root.EnumerateObject())
        {
            if (!known.Contains(member.Name))
                throw error($"has '{Excerpt.Of(member.Name)}', which is not one of: {string.Join(", ", known)}");
            if (!found.Add(member.Name))
                throw error($"has '{member.Name}' twice");
        }
    }
}
