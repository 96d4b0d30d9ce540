using AttentionGpu.Kernels.Common.Layouts;

namespace AttentionGpu.Problems;

/// <summary>How the output of a linear layer lies in memory.</summary>
internal static class MatrixLayouts
{
    /// <summary>A contiguous matrix [rows, columns].</summary>
    public static HeadLayout Plain(int rows, int columns) => new()
    {
        InnerRows = Math.Max(rows, 1),
        InnerRowStride = columns,
        HeadSize = Math.Max(columns, 1),
    };

    /// <summary>[batch, heads, length, head size], from rows that are (batch, position) pairs, or (position, batch) pairs.</summary>
    public static HeadLayout Heads(bool batchFirst, int batch, int heads, int length, int headSize)
    {
        long headStride = (long)length * headSize;
        long batchStride = heads * headStride;
        return new HeadLayout
        {
            InnerRows = Math.Max(batchFirst ? length : batch, 1),
            OuterRowStride = batchFirst ? batchStride : headSize,
            InnerRowStride = batchFirst ? headSize : batchStride,
            HeadSize = headSize,
            HeadStride = headStride,
        };
    }

    /// <summary>Whether it is a contiguous matrix.</summary>
    public static bool IsPlain(this in HeadLayout layout, int rows, int columns) =>
        layout.InnerRows >= rows && layout.HeadSize >= columns && layout.InnerRowStride == columns;
}
