using System.Text.Json;
using System.Text.RegularExpressions;
using AttentionGpu.Serialization;

namespace AttentionGpu.Layers;

/// <summary>
/// The vision transformers of timm, whose <c>config.json</c> has the name of an architecture and neither a type nor heads.
/// <c>vision_transformer.py</c> of timm makes a model of a name; the names of other classes and variants are refused.
/// </summary>
internal static partial class TimmArchitecture
{
    /// <summary>The type that such models have here.</summary>
    public const string ModelType = "timm_vit";

    private const string Member = "architecture";

    /// <summary>Whether a configuration is timm's.</summary>
    public static bool IsIn(JsonElement root) =>
        root.TryGetProperty(Member, out JsonElement architecture) && architecture.ValueKind == JsonValueKind.String
        && root.TryGetProperty("pretrained_cfg", out JsonElement pretrained) && pretrained.ValueKind == JsonValueKind.Object;

    /// <summary>The heads of an architecture.</summary>
    /// <exception cref="InvalidDataException">The configuration names no architecture, or it is not one whose heads are known.</exception>
    public static int Heads(ConfigurationMembers members)
    {
        string name = members.Text(Member) ?? throw members.Missing(Member);
        return Names().Match(name) is not { Success: true } match
            ? throw members.Error(
                $"has the '{Member}' '{Excerpt.Of(name)}'; of timm's, vit_SIZE_patchN and deit_SIZE_patchN are known, SIZE tiny, small, "
                + "medium, base, large, huge, giant, gigantic or so400m")
            : match.Groups[1].Value switch
            {
                "tiny" => 3,
                "small" => 6,
                "medium" => 8,
                "base" => 12,
                "giant" when match.Groups[2].Value == "dinov2" => 24,
                _ => 16,
            };
    }

    [GeneratedRegex(
        "^(?:vit|deit)_(tiny|small|medium|base|large|huge|giant|gigantic|so400m)(?:_distilled)?_patch[0-9]+(?:_reg[0-9]+)?"
        + "(?:_(clip|dinov2|siglip|gap))?(?:_[0-9]+)?$",
        RegexOptions.CultureInvariant)]
    private static partial Regex Names();
}
