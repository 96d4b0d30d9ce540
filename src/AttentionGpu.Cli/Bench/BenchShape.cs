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
}
