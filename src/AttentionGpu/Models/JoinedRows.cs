using AttentionGpu.Layers;

namespace AttentionGpu.Models;

/// <summary>Which rows of one matrix make queries, keys and values: runs of rows, in the order of heads.</summary>
/// <param name="config">The layer's sizes.</param>
/// <param name="order">The order of rows.</param>
internal sealed class JoinedRows(MultiHeadAttentionConfig config, JoinedOrder order)
{
    // A stacked matrix is one group with all heads.
    private readonly int _groups = order == JoinedOrder.Grouped ? config.ActualKeyValueHeads : 1;

    private int QueryRows => config.QueryRows / _groups;

    private int KeyRows => config.KeyValueRows / _groups;

    public (nint First, nint Count)[] Queries => Runs(0, QueryRows);

    public (nint First, nint Count)[] Keys => Runs(QueryRows, KeyRows);

    public (nint First, nint Count)[] Values => Runs(QueryRows + KeyRows, KeyRows);

    private (nint First, nint Count)[] Runs(int start, int count)
    {
        int step = QueryRows + 2 * KeyRows;
        return [.. Enumerable.Range(0, _groups).Select(group => ((nint)(group * step + start), (nint)count))];
    }
}
