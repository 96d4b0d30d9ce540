using System.Globalization;
using System.Text.RegularExpressions;
using AttentionGpu.Layers;
using AttentionGpu.Serialization;

namespace AttentionGpu.Models;

/// <summary>Finds the attention layers of a checkpoint by the names of their first projection.</summary>
internal static class LayerFinder
{
    /// <summary>The layers of a place, in the order of numbers.</summary>
    /// <exception cref="InvalidDataException">A layer is there twice, behind different names or differently written numbers.</exception>
    public static IEnumerable<LayerName> Find(Checkpoint checkpoint, LayerPlace place)
    {
        // A name may have the name of the whole model before it: 'bert.', 'model.', 'transformer.'.
        string name = Regex.Escape($"{place.Names.Inputs[0]}.weight");
        string root = place.Root is null ? "" : $@"{Regex.Escape(place.Root)}\.(?:.*\.)?";
        string number = place.IsSingle ? "()" : @"([0-9]+)\.";
        var pattern = new Regex(
            $@"^(((?:.*\.)?{root}){Regex.Escape(place.Before)}\.{number}{Regex.Escape(place.After)}\.){name}$",
            RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        var found = new SortedDictionary<int, LayerName>();
        foreach (string tensor in checkpoint.Entries.Keys.Order(StringComparer.Ordinal))
        {
            if (pattern.Match(tensor) is not { Success: true } match)
                continue;
            string prefix = match.Groups[1].Value;
            int index = 0;
            if (!place.IsSingle && !int.TryParse(match.Groups[3].Value, NumberStyles.None, CultureInfo.InvariantCulture, out index))
                throw new InvalidDataException($"'{checkpoint.Path}' has '{Excerpt.Of(tensor)}', whose layer's number is too large.");
            if (!found.TryAdd(index, new LayerName(index, prefix, match.Groups[2].Value)))
            {
                throw new InvalidDataException(
                    $"'{checkpoint.Path}' has layer {index} of '{place.Pattern}' twice: '{Excerpt.Of(found[index].Prefix)}' and "
                    + $"'{Excerpt.Of(prefix)}'.");
            }
        }

        return found.Values;
    }
}

/// <summary>A layer in a checkpoint.</summary>
/// <param name="Index">Its number; 0 where the place has one layer.</param>
/// <param name="Prefix">What stands before the names of its tensors, the final dot included.</param>
/// <param name="Model">What stands before the names of the place: nothing, or the name of the whole model with the dot.</param>
internal sealed record LayerName(int Index, string Prefix, string Model);
