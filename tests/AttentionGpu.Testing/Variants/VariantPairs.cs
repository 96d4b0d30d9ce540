namespace AttentionGpu.Tests.Variants;

/// <summary>Kinds of problems in which every two choices that go together are together at least once.</summary>
internal static class VariantPairs
{
    private const int Candidates = 40;
    private const int Attempts = 400;

    /// <summary>Draws the kinds, at random: the first covers nothing yet, each next one as many new pairs as can be found.</summary>
    public static IReadOnlyList<VariantKind> Draw(Random random)
    {
        List<Pair> open = [.. AllPairs()];
        var kinds = new List<VariantKind>();
        while (open.Count > 0)
        {
            VariantKind[] candidates =
                [.. Enumerable.Range(0, Attempts).Select(_ => Candidate(random, open[0])).Where(kind => kind.IsValid).Take(Candidates)];
            if (candidates.Length == 0)
            {
                open.RemoveAt(0);
                continue;
            }

            VariantKind best = candidates.MaxBy(kind => open.Count(pair => pair.IsIn(kind)))!;
            open.RemoveAll(pair => pair.IsIn(best));
            kinds.Add(best);
        }

        return kinds;
    }

    /// <summary>The pairs of choices that no kind has.</summary>
    public static IEnumerable<Pair> Missing(IEnumerable<VariantKind> kinds) =>
        AllPairs().Where(pair => !kinds.Any(pair.IsIn));

    private static IEnumerable<Pair> AllPairs() =>
        from first in Enumerable.Range(0, VariantKind.Factors.Count)
        from second in Enumerable.Range(first + 1, VariantKind.Factors.Count - first - 1)
        from firstChoice in Enumerable.Range(0, VariantKind.Factors[first].Choices.Length)
        from secondChoice in Enumerable.Range(0, VariantKind.Factors[second].Choices.Length)
        select new Pair(first, firstChoice, second, secondChoice);

    private static VariantKind Candidate(Random random, Pair pair)
    {
        // The plain choice more often than others: kinds that use everything at once exclude too much.
        int[] choices = [.. VariantKind.Factors.Select(factor => random.Next(2) == 0 ? 0 : random.Next(factor.Choices.Length))];
        choices[pair.First] = pair.FirstChoice;
        choices[pair.Second] = pair.SecondChoice;
        return new VariantKind(choices);
    }

    /// <summary>Two choices.</summary>
    internal sealed record Pair(int First, int FirstChoice, int Second, int SecondChoice)
    {
        public bool IsIn(VariantKind kind) => kind.Choices[First] == FirstChoice && kind.Choices[Second] == SecondChoice;

        public override string ToString() =>
            $"{Name(First, FirstChoice)} with {Name(Second, SecondChoice)}";

        private static string Name(int factor, int choice) =>
            choice == 0 ? "no " + VariantKind.Factors[factor].Name : VariantKind.Factors[factor].Choices[choice];
    }
}
