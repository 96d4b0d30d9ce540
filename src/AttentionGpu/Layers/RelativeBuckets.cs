using System.Numerics.Tensors;

namespace AttentionGpu.Layers;

/// <summary>
/// T5's relative position bias (Raffel and others, 2020): distances share buckets, one each while they are short, of a width that grows by
/// the logarithm up to a largest distance. <c>T5Attention._relative_position_bucket</c> of transformers.
/// </summary>
/// <param name="buckets">Rows of the stored table.</param>
/// <param name="largest">The distance from which on all share the last bucket.</param>
/// <param name="toBothSides">Whether keys behind the query have buckets of their own (encoders), rather than bucket 0 (decoders).</param>
internal sealed class RelativeBuckets(int buckets, int largest, bool toBothSides)
{
    /// <summary>A table has 2 x the largest distance + 1 columns; models have 128.</summary>
    public const int MostDistance = 1 << 16;

    private readonly int _buckets = toBothSides ? buckets / 2 : buckets;

    /// <summary>Rows of the stored table.</summary>
    public int Count => buckets;

    /// <summary>Buckets of distances that have one each.</summary>
    private int Exact => _buckets / 2;

    /// <summary>Whether the numbers make buckets; with fewer a logarithm would be none.</summary>
    public bool IsValid => Exact >= 1 && largest > Exact && largest <= MostDistance && buckets % (toBothSides ? 2 : 1) == 0;

    /// <summary>The bias by distance, [heads, 2 x largest + 1], of a table [buckets, heads].</summary>
    public Tensor<float> Spread(Tensor<float> table)
    {
        int heads = (int)table.Lengths[1];
        int columns = 2 * largest + 1;
        var spread = new float[(long)heads * columns];
        for (int column = 0; column < columns; column++)
        {
            int bucket = Bucket(column - largest);
            for (int head = 0; head < heads; head++)
                spread[(long)head * columns + column] = table[bucket, head];
        }

        return Tensor.Create(spread, [heads, columns]);
    }

    /// <summary>The bucket of a distance: key position - query position.</summary>
    public int Bucket(int distance)
    {
        int first = toBothSides && distance > 0 ? _buckets : 0;
        int steps = toBothSides ? Math.Abs(distance) : Math.Max(-distance, 0);
        if (steps < Exact)
            return first + steps;

        // In float32, as the models were trained.
        float share = MathF.Log((float)steps / Exact) / (float)Math.Log((double)largest / Exact);
        return first + Math.Min(Exact + (int)(share * (_buckets - Exact)), _buckets - 1);
    }
}
