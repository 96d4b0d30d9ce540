using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Stored;

/// <summary>Rows of keys or values as they are stored, a stride apart, and their scales.</summary>
internal readonly unsafe struct StoredRows
{
    private const int LineBytes = 64;

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

    /// <summary>
    /// Asks for some of the rows in L2, as far as there are so many: L1 takes fewer requests at a time, and the next ones wait. The
    /// processor's own prefetching starts anew at each page of memory.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prefetch(int first, int count)
    {
        if (!Sse.IsSupported)
            return;
        int end = Math.Min(first + count, Count);
        for (int row = first; row < end; row++)
        {
            byte* line = First + row * Stride;
            for (byte* last = line + Bytes; line < last; line += LineBytes)
                Sse.Prefetch1(line);
        }
    }
}

/// <summary>Scales of rows as floats: that of a row and a group is at row * RowStride + group * GroupStride.</summary>
internal readonly unsafe struct RowScales(float* first, nint rowStride, nint groupStride)
{
    public float* First => first;

    public nint RowStride => rowStride;

    public nint GroupStride => groupStride;
}
