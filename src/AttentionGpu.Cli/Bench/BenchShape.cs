using System.Globalization;

namespace AttentionGpu.Cli.Bench;

/// <summary>The sizes of <c>--shape</c>, checked.</summary>
internal static class BenchShape
{
    public static int[] Parse(string text, string axes)
    {
        string[] parts = text.Split(',');
        int[] sizes = new int[parts.Length];
        bool valid = parts.Length == axes.Split(',').Length;
        for (int i = 0; valid && i < parts.Length; i++)
            valid = int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out sizes[i]) && sizes[i] > 0;
        return valid ? sizes : throw new ArgumentException($"--shape is '{text}'; it must be {axes}: whole numbers of at least 1.");
    }

    /// <summary>Requires that each tensor of the operation can be made.</summary>
    /// <param name="text">The option's value.</param>
    /// <param name="tensors">The tensors' shapes, by what they are.</param>
    /// <exception cref="ArgumentException">One has more elements than an array of the host can have.</exception>
    public static void RequireTensors(string text, params ReadOnlySpan<(string Name, int[] Lengths)> tensors)
    {
        foreach ((string name, int[] lengths) in tensors)
        {
            // No sizes of 32 bits overflow a double, and near the limit it is exact.
            double elements = lengths.Aggregate(1.0, (product, length) => product * length);
            if (elements > Array.MaxLength)
                throw new ArgumentException(
                    $"--shape is '{text}': {name} [{string.Join(", ", lengths)}] would have more than {Array.MaxLength} elements.");
        }
    }

    /// <summary>Requires that one number divides another.</summary>
    /// <exception cref="ArgumentException">It does not.</exception>
    public static void RequireDivides(string option, int divisor, string what, int number)
    {
        if (divisor < 1 || number % divisor != 0)
            throw new ArgumentException($"{option}: {divisor} must be at least 1 and divide {what}, {number}.");
    }
}
