using System.Globalization;

namespace AttentionGpu.Cli.Output;

/// <summary>Layers of a model that differ in their number alone: one row of a table.</summary>
/// <param name="Name">Part and numbers, such as <c>decoder 0-3, 5</c>.</param>
/// <param name="Prefix">The prefix of their tensors, with N for the number.</param>
/// <param name="First">One of them.</param>
internal sealed record LayerGroup(string Name, string Prefix, AttentionModelLayer First)
{
    /// <summary>The groups of a model's layers, in the order of their first.</summary>
    public static IReadOnlyList<LayerGroup> Of(IEnumerable<AttentionModelLayer> layers) =>
    [
        .. layers
            .GroupBy(layer => (layer.Stack, layer.IsCross, Prefix: Pattern(layer.Prefix, layer.Index), layer.Config, layer.ElementType, layer.Variant))
            .Select(group => new LayerGroup(NameOf([.. group]), group.Key.Prefix, group.First())),
    ];

    /// <summary>Part and numbers of layers of one part and kind.</summary>
    public static string NameOf(IReadOnlyList<AttentionModelLayer> layers) =>
        $"{layers[0].Stack.ToString().ToLowerInvariant()} {Numbers([.. layers.Select(layer => layer.Index)])}"
        + (layers[0].IsCross ? " cross" : "");

    /// <summary>The prefix with N in place of the layer's number.</summary>
    public static string Pattern(string prefix, int index)
    {
        string number = $".{Text(index)}.";
        int start = prefix.LastIndexOf(number, StringComparison.Ordinal);
        return start < 0 ? prefix : $"{prefix[..start]}.N.{prefix[(start + number.Length)..]}";
    }

    // Rising numbers; those that follow each other as the first and the last.
    private static string Numbers(int[] numbers)
    {
        var runs = new List<(int First, int Last)>();
        foreach (int number in numbers)
        {
            if (runs.Count > 0 && runs[^1].Last == number - 1)
                runs[^1] = (runs[^1].First, number);
            else
                runs.Add((number, number));
        }

        return string.Join(", ", runs.Select(run => run.First == run.Last ? Text(run.First) : $"{Text(run.First)}-{Text(run.Last)}"));
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
