using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

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

    /// <summary>
    /// Asks for some of the rows in L2, as far as there are so many: L1 takes fewer requests at a time, and the next ones wait. The
    /// processor's own prefetching starts anew at each page of memory.
    /// </summary>
    /// <param name="first">The first row.</param>
    /// <param name="count">How many rows.</param>
    /// <param name="alternate">
    /// Whether to ask for every other line, where rows lie end to end. A core has a number of requests under way at most, and the
    /// processor brings the rest of rows that are read in order. Rows that are read in another order would wait for lines that nobody
    /// asks for.
    /// </param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prefetch(int first, int count, bool alternate = false)
    {
        if (!Sse.IsSupported)
            return;
        int end = Math.Min(first + count, Count);
        alternate &= Stride == Bytes;
        for (int row = first; row < end; row++)
        {
            byte* line = First + row * Stride;
            byte* last = line + Bytes;
            if (alternate)
                line += (nint)line & Memory.Prefetch.LineBytes;
            for (; line < last; line += alternate ? 2 * Memory.Prefetch.LineBytes : Memory.Prefetch.LineBytes)
                Sse.Prefetch1(line);
        }
    }

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
