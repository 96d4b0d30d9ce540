namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>The trees that the new tokens of a batch form, by their definition.</summary>
/// <param name="Lengths">New tokens of each sequence.</param>
/// <param name="Past">Rows of each sequence before.</param>
/// <param name="Parents">The token that each follows, among its own sequence's; -1 for the past.</param>
internal sealed record CacheTree(int[] Lengths, int[] Past, int[] Parents)
{
    /// <summary>Random trees: some deep, some flat.</summary>
    public static CacheTree Random(Random random, int[] lengths, int[] past)
    {
        int reach = random.Next(1, 9);
        return new CacheTree(
            lengths, past,
            [.. lengths.SelectMany(length => Enumerable.Range(0, length).Select(i => random.Next(Math.Max(-1, i - reach), i)))]);
    }

    /// <summary>A token's position.</summary>
    public int Position(int token)
    {
        (int owner, int first) = Owner(token);
        return Parents[token] < 0 ? Past[owner] : Position(first + Parents[token]) + 1;
    }

    /// <summary>Whether a token sees a row of its sequence.</summary>
    public bool Sees(int token, int row)
    {
        (int owner, int first) = Owner(token);
        return row < Past[owner] || row - Past[owner] == token - first || (Parents[token] >= 0 && Sees(first + Parents[token], row));
    }

    /// <summary>The tokens from the past to a token, among its sequence's own.</summary>
    public int[] Path(int token)
    {
        int first = Owner(token).First;
        int[] before = Parents[token] < 0 ? [] : Path(first + Parents[token]);
        return [.. before, token - first];
    }

    private (int Sequence, int First) Owner(int token)
    {
        (int owner, int first) = (0, 0);
        while (token >= first + Lengths[owner])
            first += Lengths[owner++];
        return (owner, first);
    }
}
