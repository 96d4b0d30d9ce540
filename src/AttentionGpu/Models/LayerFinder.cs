using System.Globalization;
using System.Text.RegularExpressions;
using AttentionGpu.Layers;
using AttentionGpu.Serialization;

namespace AttentionGpu.Models;

/// <summary>Finds the attention layers of a checkpoint by the names of their first projection.</summary>
internal static class LayerFinder
{
    /// <summary>The layers of a place: number and prefix, the final dot included, in the order of numbers.</summary>
    /// <exception cref="InvalidDataException">A layer is there twice, behind different names or differently written numbers.</exception>
    public static IEnumerable<(int Index, string Prefix)> Find(Checkpoint checkpoint, LayerPlace place)
    {
        // A name may have the name of the whole model before it: 'bert.', 'model.', 'transformer.'.
        string name = Regex.Escape($"{place.Names.Inputs[0]}.weight");
        var pattern = new Regex(
            $@"^((?:.*\.)?{Regex.Escape(place.Before)}\.([0-9]+)\.{Regex.Escape(place.After)}\.){name}$",
            RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        var prefixes = new SortedDictionary<int, string>();
        foreach (string tensor in checkpoint.Entries.Keys.Order(StringComparer.Ordinal))
        {
            if (pattern.Match(tensor) is not { Success: true } match)
                continue;
            string prefix = match.Groups[1].Value;
            if (!int.TryParse(match.Groups[2].Value, NumberStyles.None, CultureInfo.InvariantCulture, out int index))
                throw new InvalidDataException($"'{checkpoint.Path}' has '{Excerpt.Of(tensor)}', whose layer's number is too large.");
            if (!prefixes.TryAdd(index, prefix))
            {
                throw new InvalidDataException(
                    $"'{checkpoint.Path}' has layer {index} of '{place.Pattern}' twice: '{Excerpt.Of(prefixes[index])}' and '{Excerpt.Of(prefix)}'.");
            }
        }

        return prefixes.Select(pair => (pair.Key, pair.Value));
    }
}
