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
        string projection = ProjectionNames.Weight(place.Names.Inputs[0]);
        foreach (string tensor in checkpoint.Entries.Keys.Order(StringComparer.Ordinal))
        {
            if (!tensor.EndsWith(projection, StringComparison.Ordinal))
                continue;
            string prefix = tensor[..^projection.Length];
            if (place.Match(prefix) is not (string model, string number))
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
}

/// <summary>A layer in a checkpoint.</summary>
/// <param name="Index">Its number; 0 where the place has one layer.</param>
/// <param name="Prefix">What stands before the names of its tensors, the final dot included.</param>
/// <param name="Model">What stands before the names of the place: nothing, or the name of the whole model with the dot.</param>
internal sealed record LayerName(int Index, string Prefix, string Model);
