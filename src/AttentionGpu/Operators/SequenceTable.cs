using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Tiles;
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
        ReadOnlySpan<int> keyLengths, ReadOnlySpan<int> prefixLengths, int visibleKeys)
    {
        RequireCount(keyLengths, batch, "batch entries", "keyLengths");
        RequireCount(prefixLengths, batch, "batch entries", "prefixLengths");
        Span<Sequence> sequences = tables.AddSequences(batch);
        for (int i = 0; i < batch; i++)
        {
            RequireLength(keyLengths, i, keyLength, "keyLengths");
            RequireLength(prefixLengths, i, int.MaxValue, "prefixLengths");
            int keys = keyLengths.IsEmpty ? keyLength : keyLengths[i];
            int prefix = prefixLengths.IsEmpty ? 0 : prefixLengths[i];
            sequences[i] = Create(options, queryLength, keys, pastLength, prefix) with { KeyLength = Math.Min(keys, visibleKeys) };
        }
    }

    /// <summary>
    /// Fills ragged sequences, from where each starts, with key lengths of their own. Query tokens behind the last sequence become further
    /// sequences without keys, so that their outputs are written. Returns a sequence with the longest lengths.
    /// </summary>
    /// <exception cref="ArgumentException">
    /// The starts are not in order, or end behind the tokens; or a sequence has fewer keys than its key length.
    /// </exception>
    public static Sequence FillRagged(
        ref RequestTables tables, AttentionOptions options, ReadOnlySpan<int> queryStarts, int queryTokens, ReadOnlySpan<int> keyStarts, int keyTokens,
        ReadOnlySpan<int> keyLengths, string queryName)
    {
        RequireStarts(queryStarts, queryTokens, queryName);
        if (keyStarts.IsEmpty && keyTokens != queryTokens)
        {
            throw BadInput.Because(
                "cumulativeKeyLengths",
                $"'cumulativeKeyLengths' must be given where there are not as many key tokens, {keyTokens}, "
                + $"as query tokens, {queryTokens}.");
        }

        if (keyStarts.IsEmpty)
            keyStarts = queryStarts;
        RequireStarts(keyStarts, keyTokens, "cumulativeKeyLengths");
        if (keyStarts.Length != queryStarts.Length)
        {
            throw BadInput.Because(
                "cumulativeKeyLengths",
                $"'cumulativeKeyLengths' must have as many numbers as '{queryName}', {queryStarts.Length}; it has {keyStarts.Length}.");
        }

        int count = queryStarts.Length - 1;
        RequireCount(keyLengths, count, "sequences", "keyLengths");
        var longest = default(Sequence);
        for (int i = 0; i < count; i++)
            longest.QueryLength = Math.Max(longest.QueryLength, queryStarts[i + 1] - queryStarts[i]);

        // In pieces, so that neither the longest sequence nor the table grows much: kernels have as many groups as both together.
        int rest = queryTokens - queryStarts[^1];
        longest.QueryLength = Math.Max(longest.QueryLength, TileCount.DivideUp(rest, Math.Max(count, 1)));
        int restCount = rest == 0 ? 0 : TileCount.DivideUp(rest, longest.QueryLength);
        Span<Sequence> sequences = tables.AddSequences(count, restCount);
        for (int i = 0; i < count; i++)
        {
            int room = keyStarts[i + 1] - keyStarts[i];
            RequireLength(keyLengths, i, room, "keyLengths");
            int keys = keyLengths.IsEmpty ? room : keyLengths[i];
            sequences[i] = Create(options, queryStarts[i + 1] - queryStarts[i], keys) with
            {
                QueryStart = queryStarts[i],
                KeyStart = keyStarts[i],
            };
            longest.KeyLength = Math.Max(longest.KeyLength, keys);
        }

        for (int i = 0; i < restCount; i++)
        {
            int start = queryStarts[^1] + i * longest.QueryLength;
            sequences[count + i] = new Sequence { QueryStart = start, QueryLength = Math.Min(longest.QueryLength, queryTokens - start) };
        }

        return longest;
    }

    private static void RequireCount(ReadOnlySpan<int> lengths, int count, string of, string name)
    {
        if (!lengths.IsEmpty && lengths.Length != count)
            throw new ArgumentException($"'{name}' must have a number for each of the {count} {of}; it has {lengths.Length}.", name);
    }

    private static void RequireLength(ReadOnlySpan<int> lengths, int index, int most, string name)
    {
        if (!lengths.IsEmpty && (lengths[index] < 0 || lengths[index] > most))
            throw new ArgumentOutOfRangeException(name, lengths[index], $"Number {index} of '{name}' must be 0 to {most}.");
    }

    private static void RequireStarts(ReadOnlySpan<int> starts, int tokens, string name)
    {
        if (starts.IsEmpty || starts[0] != 0)
            throw new ArgumentException($"'{name}' must start with 0.", name);
        if (starts[^1] > tokens)
            throw new ArgumentException($"'{name}' must end with at most the number of tokens, {tokens}; it ends with {starts[^1]}.", name);
        for (int i = 1; i < starts.Length; i++)
        {
            if (starts[i] < starts[i - 1])
                throw new ArgumentException($"'{name}' must never fall; number {i} is {starts[i]} after {starts[i - 1]}.", name);
        }
    }
}
