using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>Makes the sequences of a call: one for all batch entries, or one each.</summary>
internal static class SequenceTable
{
    /// <summary>The sequence of a batch entry whose queries and keys start at row 0.</summary>
    public static Sequence Create(AttentionOptions options, int queryLength, int keyLength, int pastLength = 0, int prefixLength = 0) => new()
    {
        QueryLength = queryLength,
        KeyLength = keyLength,
        CausalOffset = options.Causal == Causal.BottomRight ? keyLength - queryLength : pastLength,
        PrefixLength = prefixLength,
        WindowOffset = options.Window?.Alignment == QueryAlignment.BottomRight ? keyLength - queryLength : pastLength,
        DistanceOffset = keyLength - queryLength,
    };

    /// <summary>The kind of a causal option and a prefix.</summary>
    public static CausalKind KindOf(Causal causal, bool hasPrefix) =>
        causal == Causal.None ? CausalKind.None : hasPrefix ? CausalKind.CausalWithPrefix : CausalKind.Causal;

    /// <summary>Fills a sequence for each batch entry, with key lengths or prefixes of its own.</summary>
    /// <exception cref="ArgumentException">There are not as many as batch entries, or one is out of range.</exception>
    public static void Fill(
        ref RequestTables tables, AttentionOptions options, int batch, int queryLength, int keyLength, int pastLength,
        ReadOnlySpan<int> keyLengths, ReadOnlySpan<int> prefixLengths)
    {
        RequireLengths(keyLengths, batch, keyLength, "keyLengths");
        RequireLengths(prefixLengths, batch, int.MaxValue, "prefixLengths");
        Span<Sequence> sequences = tables.AddSequences(batch);
        for (int i = 0; i < batch; i++)
        {
            sequences[i] = Create(
                options, queryLength, keyLengths.IsEmpty ? keyLength : keyLengths[i], pastLength, prefixLengths.IsEmpty ? 0 : prefixLengths[i]);
        }
    }

    /// <summary>Fills ragged sequences, from where each starts. Returns a sequence with the longest lengths.</summary>
    /// <exception cref="ArgumentException">The starts are not in order, or do not end with the tokens.</exception>
    public static Sequence FillRagged(
        ref RequestTables tables, AttentionOptions options, ReadOnlySpan<int> queryStarts, int queryTokens, ReadOnlySpan<int> keyStarts, int keyTokens,
        string queryName)
    {
        RequireStarts(queryStarts, queryTokens, queryName);
        if (keyStarts.IsEmpty)
            keyStarts = queryStarts;
        RequireStarts(keyStarts, keyTokens, "cumulativeKeyLengths");
        if (keyStarts.Length != queryStarts.Length)
        {
            throw BadInput.Because(
                "cumulativeKeyLengths",
                $"'cumulativeKeyLengths' must have as many numbers as '{queryName}', {queryStarts.Length}; it has {keyStarts.Length}.");
        }

        Span<Sequence> sequences = tables.AddSequences(queryStarts.Length - 1);
        var longest = default(Sequence);
        for (int i = 0; i < sequences.Length; i++)
        {
            sequences[i] = Create(options, queryStarts[i + 1] - queryStarts[i], keyStarts[i + 1] - keyStarts[i]) with
            {
                QueryStart = queryStarts[i],
                KeyStart = keyStarts[i],
            };
            longest.QueryLength = Math.Max(longest.QueryLength, sequences[i].QueryLength);
            longest.KeyLength = Math.Max(longest.KeyLength, sequences[i].KeyLength);
        }

        return longest;
    }

    private static void RequireLengths(ReadOnlySpan<int> lengths, int batch, int most, string name)
    {
        if (lengths.IsEmpty)
            return;
        if (lengths.Length != batch)
            throw new ArgumentException($"'{name}' must have a number for each of the {batch} batch entries; it has {lengths.Length}.", name);
        for (int i = 0; i < batch; i++)
        {
            if (lengths[i] < 0 || lengths[i] > most)
                throw new ArgumentOutOfRangeException(name, lengths[i], $"Number {i} of '{name}' must be 0 to {most}.");
        }
    }

    private static void RequireStarts(ReadOnlySpan<int> starts, int tokens, string name)
    {
        if (starts.IsEmpty || starts[0] != 0 || starts[^1] != tokens)
            throw new ArgumentException($"'{name}' must start with 0 and end with the number of tokens, {tokens}.", name);
        for (int i = 1; i < starts.Length; i++)
        {
            if (starts[i] < starts[i - 1])
                throw new ArgumentException($"'{name}' must never fall; number {i} is {starts[i]} after {starts[i - 1]}.", name);
        }
    }
}
