using System.Numerics.Tensors;
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

    public IEnumerable<(int First, int Count)> Queries => Runs(0, QueryRows);

    public IEnumerable<(int First, int Count)> Keys => Runs(QueryRows, KeyRows);

    public IEnumerable<(int First, int Count)> Values => Runs(QueryRows + KeyRows, KeyRows);

    /// <summary>Copies runs of rows of a matrix, or of elements of a vector.</summary>
    public static Tensor<float> Take(Tensor<float> source, IEnumerable<(int First, int Count)> runs)
    {
        int rowSize = source.Rank == 1 ? 1 : (int)source.Lengths[1];
        var values = new float[source.FlattenedLength];
        source.FlattenTo(values);
        (int First, int Count)[] all = [.. runs];
        int rows = all.Sum(run => run.Count);
        var taken = new float[(long)rows * rowSize];
        int position = 0;
        foreach ((int first, int count) in all)
        {
            values.AsSpan(first * rowSize, count * rowSize).CopyTo(taken.AsSpan(position));
            position += count * rowSize;
        }

        return source.Rank == 1 ? Tensor.Create(taken, [rows]) : Tensor.Create(taken, [rows, rowSize]);
    }

    private IEnumerable<(int First, int Count)> Runs(int start, int count)
    {
        int step = QueryRows + 2 * KeyRows;
        return Enumerable.Range(0, _groups).Select(group => (group * step + start, count));
    }
}
