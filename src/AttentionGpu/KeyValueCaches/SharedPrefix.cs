namespace AttentionGpu.KeyValueCaches;

/// <summary>
/// Sequences of a batch that stand next to each other and share their first pages: attention over these rows is one for all of their
/// queries, which reads a key once for all of them instead of once for each (Hydragen, Juravsky and others, 2024).
/// </summary>
internal static class SharedPrefix
{
    // Rows that a group does not read again, below which the second pass and the merge cost more than they save.
    private const int LeastRowsSaved = 1024;
    private const int LeastRows = 256;

    /// <summary>The group that begins at a sequence.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="first">The number of the sequence.</param>
    /// <param name="end">The number behind the last sequence of the group; the next sequence's where there is none.</param>
    /// <returns>Rows that all of the group share and that all of their queries come behind; 0 for a sequence by itself.</returns>
    public static int Find(KeyValueBatchState batch, int first, out int end)
    {
        end = first + 1;
        int rows = MostRows(batch, first);
        int shared = 0;
        for (; end < batch.Sequences.Length; end++)
        {
            int common = Math.Min(Math.Min(rows, MostRows(batch, end)), CommonRows(batch, end));
            if (common < LeastRows)
                break;
            shared = rows = common;
        }

        if ((long)shared * (end - first - 1) >= LeastRowsSaved)
            return shared;
        end = first + 1;
        return 0;
    }

    // Of whole pages that this sequence shares with the one before it.
    private static int CommonRows(KeyValueBatchState batch, int index) =>
        batch.Sequences[index - 1].Pages.CommonPrefixLength(batch.Sequences[index].Pages) * batch.Cache.Options.PageRows;

    // Rows before the first query, in whole pages.
    private static int MostRows(KeyValueBatchState batch, int index)
    {
        int queries = batch.Starts[index + 1] - batch.Starts[index];
        int pageRows = batch.Cache.Options.PageRows;
        return queries == 0 ? 0 : Math.Max(0, batch.Sequences[index].ResidentLength - queries) / pageRows * pageRows;
    }
}
