using System.Text.Json;
using AttentionGpu.Serialization;

namespace AttentionGpu.Layers;

/// <summary>The sliding window of a layer, by a <c>config.json</c> and the layer's number.</summary>
internal sealed class WindowReader(ConfigurationMembers members, ModelFamily family)
{
    private const string Size = "sliding_window";

    /// <summary>The window; null where the layer sees all keys.</summary>
    /// <param name="prefix">What stands before the layer's names; its number is read from it where the window depends on it.</param>
    public AttentionWindow? Read(string prefix) =>
        !HasWindow(prefix) ? null
        : family.Window == WindowedLayers.AllButFirstToBothSides ? ToBothSides(members.Required("local_attention", 2) / 2)
        : new AttentionWindow { Left = members.Required(Size, 1) - 1 };

    private static AttentionWindow ToBothSides(int keys) => new() { Left = keys, Right = keys };

    private bool HasWindow(string prefix)
    {
        if (members.Find("layer_types") is JsonElement list)
            return IsListedWithWindow(list, prefix);
        switch (family.Window)
        {
            case WindowedLayers.None:
                return false;
            case WindowedLayers.FromMaxWindowLayers:
                if (members.IsSet("use_sliding_window"))
                    RequireMember();
                return members.IsSet("use_sliding_window") && members.IsPresent(Size)
                    && LayerNumber.Of(prefix, "max_window_layers", members.Error) >= members.Required("max_window_layers", 0);
            case WindowedLayers.AllButFirstToBothSides:
                const string nth = "global_attn_every_n_layers";
                return LayerNumber.Of(prefix, nth, members.Error) % members.Required(nth, 1) != 0;
            default:
                RequireMember();
                return members.IsPresent(Size) && family.Window switch
                {
                    WindowedLayers.All => true,
                    WindowedLayers.EverySecond => LayerNumber.Of(prefix, Size, members.Error) % 2 == 0,
                    _ => (LayerNumber.Of(prefix, Pattern, members.Error) + 1) % members.Required(Pattern, 1) != 0,
                };
        }
    }

    // It is always written; a model whose file lacks it may have one nevertheless.
    private void RequireMember()
    {
        if (!members.Root.TryGetProperty(Size, out _))
            throw members.Error($"has no '{Size}'");
    }

    private string Pattern => members.IsPresent("_sliding_window_pattern") ? "_sliding_window_pattern" : "sliding_window_pattern";

    private bool IsListedWithWindow(JsonElement list, string prefix)
    {
        string[] types = list.ValueKind == JsonValueKind.Array ? [.. list.EnumerateArray().Select(one => one.ToString())] : [];
        int layer = types.Distinct(StringComparer.Ordinal).Count() == 1 ? 0 : LayerNumber.Of(prefix, "layer_types", members.Error);
        if (layer >= types.Length)
            throw members.Error($"has 'layer_types' for {types.Length} layers; this is layer {layer}");
        return types[layer] switch
        {
            "full_attention" => false,
            "sliding_attention" when family.Window != WindowedLayers.None => true,
            "sliding_attention" => throw members.Error("has windows in 'layer_types', unlike other models of its type"),
            string other => throw members.Error($"has layers of the type '{Excerpt.Of(other)}'"),
        };
    }
}
