using System.Globalization;

namespace AttentionGpu.Layers;

/// <summary>The number of a layer by what stands before its names.</summary>
internal static class LayerNumber
{
    /// <summary>The last number between dots: model.layers.3.self_attn is layer 3.</summary>
    /// <param name="prefix">What stands before the layer's names.</param>
    /// <param name="member">The member that depends on the number.</param>
    /// <param name="error">Makes the exception for a prefix without.</param>
    public static int Of(string prefix, string member, Func<string, InvalidDataException> error)
    {
        foreach (string part in prefix.Split('.').Reverse())
        {
            if (int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
                return number;
        }

        throw error($"has a '{member}' that depends on the layer, and the prefix '{prefix}' has no number");
    }
}
