using System.Globalization;

namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>
/// How often each loop of a kernel goes round in a problem: <c>1(4 64(2 8)) 0</c> are a loop of one pass, in which are one of 4 and one of
/// 64 that has two more, and a loop that is not entered. Loops of one level stand in the order of their addresses.
/// </summary>
/// <param name="Passes">Of one loop; each time that it is entered.</param>
/// <param name="Inner">Of the loops inside it.</param>
internal sealed record LoopTrips(int Passes, IReadOnlyList<LoopTrips> Inner)
{
    /// <exception cref="FormatException">The text is not of this form.</exception>
    public static IReadOnlyList<LoopTrips> Parse(string text)
    {
        int place = 0;
        LoopTrips[] loops = ParseLevel(text, ref place);
        return place == text.Length ? loops : throw new FormatException($"'{text}' has a bracket that was not opened.");
    }

    /// <summary>The passes of each loop.</summary>
    /// <param name="loops">Those that no other holds.</param>
    /// <param name="declared">Their passes and those of the loops inside them.</param>
    /// <exception cref="InvalidOperationException">The loops are not nested as the declaration says.</exception>
    public static Dictionary<SassLoop, int> Match(IReadOnlyList<SassLoop> loops, string declared)
    {
        var passes = new Dictionary<SassLoop, int>();
        if (!Match(loops, Parse(declared), passes))
        {
            throw new InvalidOperationException(
                $"The loops are not nested as their declared passes '{declared}' are. There are {SassLoop.Describe(loops)}.");
        }

        return passes;
    }

    private static bool Match(IReadOnlyList<SassLoop> loops, IReadOnlyList<LoopTrips> trips, Dictionary<SassLoop, int> passes)
    {
        if (loops.Count != trips.Count)
            return false;
        for (int i = 0; i < loops.Count; i++)
        {
            passes.Add(loops[i], trips[i].Passes);
            if (!Match(loops[i].Inner, trips[i].Inner, passes))
                return false;
        }

        return true;
    }

    private static LoopTrips[] ParseLevel(string text, ref int place)
    {
        List<LoopTrips> loops = [];
        while (place < text.Length && text[place] != ')')
        {
            if (text[place] == ' ')
            {
                place++;
                continue;
            }

            int start = place;
            while (place < text.Length && char.IsAsciiDigit(text[place]))
                place++;
            int passes = int.Parse(text.AsSpan(start, place - start), NumberStyles.None, CultureInfo.InvariantCulture);
            LoopTrips[] inner = [];
            if (place < text.Length && text[place] == '(')
            {
                place++;
                inner = ParseLevel(text, ref place);
                if (place++ == text.Length)
                    throw new FormatException($"'{text}' has a bracket that is not closed.");
            }

            loops.Add(new LoopTrips(passes, inner));
        }

        return [.. loops];
    }
}
