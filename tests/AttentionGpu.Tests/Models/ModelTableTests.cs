using System.Globalization;
using AttentionGpu.Layers;

namespace AttentionGpu.Tests.Models;

/// <summary>The table of <c>docs/models.md</c> is made from the table in the code, each row of which has a test.</summary>
public class ModelTableTests
{
    private const string Start = "<!-- models: made by ModelTableTests -->";
    private const string End = "<!-- end of models -->";

    [Fact]
    public void The_documented_table_is_that_of_the_code()
    {
        string path = Repository.PathOf("docs/models.md");
        string text = File.ReadAllText(path);
        int start = text.IndexOf(Start, StringComparison.Ordinal) + Start.Length;
        int end = text.IndexOf(End, StringComparison.Ordinal);
        Assert.True(start >= Start.Length && end > start, $"{path} must have the marks '{Start}' and '{End}'.");
        string made = "\n\n" + string.Join("\n", Table()) + "\n\n";
        if (made == text[start..end])
            return;
        string received = Path.ChangeExtension(path, ".received.md");
        File.WriteAllText(received, text[..start] + made + text[end..]);
        Assert.Fail($"The table in {path} is not that of the code: see {received}, and take it over if it is right.");
    }

    private static IEnumerable<string> Table()
    {
        yield return "| `model_type` | layers | projections | besides |";
        yield return "|---|---|---|---|";
        foreach (IGrouping<ModelFamily, string> family in ModelFamilies.All.GroupBy(entry => entry.Value, entry => entry.Key))
        {
            string types = Codes(family);
            yield return family.Key.Refusal is string reason
                ? $"| {types} | refused | | {reason} |"
                : family.Key.Parts.Length > 0 ? $"| {types} | {string.Join("; ", family.Key.Parts.Select(Part))} | | |"
                : $"| {types} | {string.Join("; ", family.Key.Places.Select(Place))} "
                    + $"| {string.Join("; ", family.Key.Places.Select(place => Projections(place.Names)).Distinct())} | {Besides(family.Key)} |";
        }
    }

    private static string Part(ModelPart part) =>
        $"`{part.Section}` {(part.Refusal is string reason ? $"refused: {reason}" : $"as `{part.ModelType}`")}";

    private static string Place(LayerPlace place) =>
        $"`{place.Pattern}` ({place.Stack.ToString().ToLowerInvariant()}{(place.IsCausal ? ", causal" : "")}{(place.IsCross ? ", cross" : "")})";

    private static string Projections(ProjectionNames names)
    {
        string order = names.Order == JoinedOrder.Grouped ? "group by group" : "stacked";
        return names.Joined is null
            ? Codes([names.Query, names.Key, names.Value, names.Output])
            : $"`{names.Joined}` ({order}), `{names.Output}`{(names.IsTransposed ? ", both transposed" : "")}";
    }

    private static string Besides(ModelFamily family)
    {
        string part = family.RotarySize ?? family.RotaryPart ?? "";
        string window = family.Window switch
        {
            WindowedLayers.None => "",
            WindowedLayers.All => "window",
            WindowedLayers.EverySecond => "window in every second layer",
            WindowedLayers.FromMaxWindowLayers => "window from `max_window_layers` on, if `use_sliding_window`",
            WindowedLayers.AllButLastOfPattern => "window in all but every `sliding_window_pattern`th layer",
            _ => "window to both sides in all but every `global_attn_every_n_layers`th layer",
        };
        return string.Join("; ", new[]
        {
            !family.HasRotary ? ""
                : $"rotary{(part.Length == 0 ? "" : $" of a part (`{part}`)")}{(family.IsInterleaved ? ", interleaved" : "")}, `{family.Base}`"
                    + (family.WindowBase is string own ? $" and with a window `{own}`" : ""),
            family.Alibi switch
            {
                AlibiKind.None => "",
                AlibiKind.Bloom => "ALiBi",
                _ => "ALiBi, `alibi_bias_max`",
            },
            string.Join(", ", family.Places.Select(place => place.RelativeBias).OfType<string>().Select(name => $"bias by distance `{name}`")),
            family.FixedScale is float one ? $"scale {one.ToString(CultureInfo.InvariantCulture)}" : "",
            window,
            family.ScaleSource is string source ? $"scale 1 / sqrt(`{source}`)" : "",
            family.Scale is string scale ? $"scale `{scale}`" : "",
            family.Softcap is string cap ? $"soft capping `{cap}`" : "",
            family.Norms switch
            {
                StoredNorms.None => "",
                StoredNorms.Plain => "norms of queries and keys",
                _ => "norms of queries and keys, stored less 1",
            },
            family.HasSinks ? "`sinks`" : "",
            family.HasMultiQueryFlag ? "key/value heads by `new_decoder_architecture`, `multi_query`, `num_kv_heads`" : "",
        }.Where(text => text.Length > 0));
    }

    private static string Codes(IEnumerable<string> names) => string.Join(", ", names.Select(name => $"`{name}`"));
}
