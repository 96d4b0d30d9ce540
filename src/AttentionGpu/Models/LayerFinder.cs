using System.Globalization;
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
        var found = new SortedDictionary<int, LayerName>();
        foreach (string tensor in checkpoint.Entries.Keys.Order(StringComparer.Ordinal))
        {
            if (Match(place, tensor) is not (string prefix, string model, string number))
                continue;
            if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int index))
                throw new InvalidDataException($"'{checkpoint.Path}' has '{Excerpt.Of(tensor)}', whose layer's number is too large.");
            if (!found.TryAdd(index, new LayerName(index, prefix, model)))
            {
                throw new InvalidDataException(
                    $"'{checkpoint.Path}' has layer {index} of '{place.Pattern}' twice: '{Excerpt.Of(found[index].Prefix)}' and "
                    + $"'{Excerpt.Of(prefix)}'.");
            }
        }

        return found.Values;
    }

    // The parts of a name: all before the projection's, the name of the whole model ('bert.', 'model.', 'transformer.'), and the number.
    private static (string Prefix, string Model, string Number)? Match(LayerPlace place, string tensor)
    {
        string end = ProjectionNames.Weight(place.Names.Inputs[0]);
        string after = Dotted(place.After);
        string before = Dotted(place.Before);
        if (!tensor.EndsWith(after + end, StringComparison.Ordinal))
            return null;
        ReadOnlySpan<char> rest = tensor.AsSpan(0, tensor.Length - after.Length - end.Length);
        ReadOnlySpan<char> number = "0";
        if (!place.IsSingle)
        {
            int dot = rest.Length - 1;
            int start = dot;
            while (start > 0 && char.IsAsciiDigit(rest[start - 1]))
                start--;
            if (dot <= start || rest[dot] != '.')
                return null;
            number = rest[start..dot];
            rest = rest[..start];
        }

        if (!rest.EndsWith(before, StringComparison.Ordinal))
            return null;
        string model = rest[..^before.Length].ToString();
        bool fits = place.IsExact ? model.Length == 0 : model.Length == 0 || model[^1] == '.';
        return fits && (place.Root is null || $".{model}".Contains($".{place.Root}.", StringComparison.Ordinal))
            ? (tensor[..^end.Length], model, number.ToString())
            : null;
    }

    private static string Dotted(string name) => name.Length == 0 ? "" : $"{name}.";
}

/// <summary>A layer in a checkpoint.</summary>
/// <param name="Index">Its number; 0 where the place has one layer.</param>
/// <param name="Prefix">What stands before the names of its tensors, the final dot included.</param>
/// <param name="Model">What stands before the names of the place: nothing, or the name of the whole model with the dot.</param>
internal sealed record LayerName(int Index, string Prefix, string Model);
