namespace AttentionGpu.Cli.Output;

/// <summary>Pairs of a query and a key that it sees: only they cost operations of attention.</summary>
internal static class VisiblePairs
{
    /// <param name="causal">Which keys a query sees.</param>
    /// <param name="queries">Queries of one head.</param>
    /// <param name="keys">Keys of one head.</param>
    public static long Count(Causal causal, long queries, long keys)
    {
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
}
