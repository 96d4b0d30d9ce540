namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>Rows of scaled queries, and where their sums and softmax go.</summary>
internal unsafe struct LaneRows
{
    /// <summary>[count, head size].</summary>
    public float* Queries;

    /// <summary>What the queries are to be multiplied by.</summary>
    public float Factor;

    /// <summary>The sums, not divided: [count, <see cref="SumsStride"/>].</summary>
    public float* Sums;

    /// <summary>Floats from a row's sums to the next row's.</summary>
    public nint SumsStride;

    /// <summary>The largest score of each row.</summary>
    public float* Maxima;

    /// <summary>The sum of the weights of each row.</summary>
    public float* Totals;

    /// <summary>How many there are.</summary>
    public int Count;
}
