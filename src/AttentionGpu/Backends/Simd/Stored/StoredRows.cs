namespace AttentionGpu.Backends.Simd.Stored;

/// <summary>Rows of keys or values as they are stored, a stride apart, and their scales.</summary>
internal readonly unsafe struct StoredRows
{
    /// <summary>The first row.</summary>
    public byte* First { get; init; }

    /// <summary>Bytes from one row to the next.</summary>
    public nint Stride { get; init; }

    /// <summary>The scales of the first row, where rows have any.</summary>
    public byte* Scales { get; init; }

    /// <summary>Bytes from the scales of one row to those of the next.</summary>
    public nint ScaleStride { get; init; }

    /// <summary>How many rows there are.</summary>
    public int Count { get; init; }

    /// <summary>Bytes of a row.</summary>
    public int Bytes { get; init; }

    /// <summary>Asks for the scales of all rows in L2: they are read before the rows.</summary>
    public void PrefetchScales() => Memory.Prefetch.Bytes(Scales, (int)(Count * ScaleStride));
}

/// <summary>Scales of rows as floats: that of a row and a group is at row * RowStride + group * GroupStride.</summary>
internal readonly unsafe struct RowScales(float* first, nint rowStride, nint groupStride)
{
    public float* First => first;

    public nint RowStride => rowStride;

    public nint GroupStride => groupStride;
}
