namespace AttentionGpu.Problems;

/// <summary>Where the rows of a [batch, heads, length, size] tensor lie, in elements. The last axis is contiguous.</summary>
internal readonly record struct TensorLayout(long BatchStride, long HeadStride, long RowStride)
{
    /// <summary>The layout of a contiguous tensor.</summary>
    public static TensorLayout Contiguous(int heads, int length, int size) =>
        new((long)heads * length * size, (long)length * size, size);

    /// <summary>Whether all rows start at a multiple of a number of elements, where the first does.</summary>
    public bool IsMultipleOf(int elements) => BatchStride % elements == 0 && HeadStride % elements == 0 && RowStride % elements == 0;

    /// <summary>The first element of a row.</summary>
    public long Offset(int batch, int head, int row) => batch * BatchStride + head * HeadStride + row * RowStride;
}
