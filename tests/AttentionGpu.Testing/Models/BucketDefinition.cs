using System.Numerics.Tensors;

namespace AttentionGpu.Tests.Models;

/// <summary>
/// T5's buckets of distances as the paper and <c>T5Attention._relative_position_bucket</c> tell them, in float64. It shares no code with
/// the product.
/// </summary>
/// <param name="Count">Rows of the table.</param>
/// <param name="Largest">Distances from which on all share a bucket.</param>
/// <param name="BothSides">Whether keys behind the query have the second half of the buckets.</param>
internal sealed record BucketDefinition(int Count, int Largest, bool BothSides)
{
    /// <summary>The bucket of a key so many places behind the query.</summary>
    public int Of(int distance)
    {
        int own = BothSides ? Count / 2 : Count;
        int start = BothSides && distance > 0 ? own : 0;
        int steps = distance > 0 && !BothSides ? 0 : Math.Abs(distance);
        if (steps < own / 2)
            return start + steps;
        double logarithmic = Math.Log(steps / (own / 2.0)) / Math.Log(Largest / (own / 2.0)) * (own - own / 2);
        return start + Math.Min(own / 2 + (int)Math.Floor(logarithmic + 1e-9), own - 1);
    }

    /// <summary>[heads, 2 x largest + 1] of a table [buckets, heads].</summary>
    public Tensor<float> Spread(Tensor<float> table)
    {
        Tensor<float> spread = Tensor.CreateFromShape<float>([table.Lengths[1], 2 * Largest + 1]);
        for (int head = 0; head < table.Lengths[1]; head++)
        {
            for (int distance = -Largest; distance <= Largest; distance++)
                spread[head, distance + Largest] = table[Of(distance), head];
        }

        return spread;
    }

    /// <summary>A table that spreads so; rows that no distance has are NaN.</summary>
    public Tensor<float> Table(Tensor<float> spread)
    {
        Tensor<float> table = Tensor.CreateFromShape<float>([Count, spread.Lengths[0]]);
        table.AsTensorSpan().Fill(float.NaN);
        for (int head = 0; head < spread.Lengths[0]; head++)
        {
            for (int distance = -Largest; distance <= Largest; distance++)
                table[Of(distance), head] = spread[head, distance + Largest];
        }

        return table;
    }
}
