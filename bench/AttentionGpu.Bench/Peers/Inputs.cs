namespace AttentionGpu.Bench.Peers;

/// <summary>Random tensors, and the same tensors in another order.</summary>
internal static class Inputs
{
    public static float[] Random(long count, int seed, float bound = 1f)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (long i = 0; i < count; i++)
            values[i] = bound * (2f * random.NextSingle() - 1f);
        return values;
    }

    /// <summary>[outer, rows, columns, inner] to [outer, columns, rows, inner].</summary>
    public static float[] Swap(float[] values, long outer, long rows, long columns, long inner)
    {
        var swapped = new float[values.Length];
        for (long o = 0; o < outer; o++)
        {
            for (long r = 0; r < rows; r++)
            {
                for (long c = 0; c < columns; c++)
                    Array.Copy(values, ((o * rows + r) * columns + c) * inner, swapped, ((o * columns + c) * rows + r) * inner, inner);
            }
        }

        return swapped;
    }
}
