namespace AttentionGpu.Cli.Output;

/// <summary>Pairs of a query and a key that it sees: only they cost operations of attention.</summary>
internal static class VisiblePairs
{
    /// <param name="causal">Which keys a query sees.</param>
    /// <param name="queries">Queries of one head.</param>
    /// <param name="keys">Keys of one head.</param>
    /// <param name="window">How far a query sees to both sides; null for as far as there are keys.</param>
    public static long Count(Causal causal, long queries, long keys, AttentionWindow? window = null)
    {
        if (window is not null)
            return CountInWindow(causal, queries, keys, window);

        // As many rows of the mask as the triangle has: from the top, or up from the bottom.
        long rows = Math.Min(queries, keys);
        return causal switch
        {
            // 1 + 2 + ... + rows; the queries below the triangle see every key.
            Causal.TopLeft => (rows * (rows + 1) / 2) + ((queries - rows) * keys),

            // keys + (keys - 1) + ... from the last query up; the queries above the triangle see none.
            Causal.BottomRight => (rows * keys) - (rows * (rows - 1) / 2),
            _ => queries * keys,
        };
    }

    private static long CountInWindow(Causal causal, long queries, long keys, AttentionWindow window)
    {
        long pairs = 0;
        for (long query = 0; query < queries; query++)
        {
            long position = query + (window.Alignment == QueryAlignment.BottomRight ? keys - queries : 0);
            long first = window.Left is int left ? Math.Max(0, position - left) : 0;
            long end = window.Right is int right ? Math.Min(keys, position + right + 1) : keys;
            end = causal switch
            {
                Causal.TopLeft => Math.Min(end, query + 1),
                Causal.BottomRight => Math.Min(end, query + keys - queries + 1),
                _ => end,
            };
            pairs += Math.Max(0, end - first);
        }

        return pairs;
    }
}
