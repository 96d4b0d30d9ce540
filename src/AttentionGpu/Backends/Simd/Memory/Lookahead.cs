using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using AttentionGpu.Backends.Simd.Stored;

namespace AttentionGpu.Backends.Simd.Memory;

/// <summary>
/// Memory that the next piece of work reads: a few lines are asked for by each register tile, whose arithmetic leaves the memory idle.
/// </summary>
internal unsafe struct Lookahead
{
    private const int LineFloats = 16;
    private const int LinesPerTile = 16;

    private readonly int _tileLines;
    private float* _next;
    private float* _end;
    private float* _nextKeys;
    private float* _endKeys;
    private float* _nextValues;
    private float* _endValues;

    /// <summary>What is to be asked for, in this order; contiguous floats each, and null for nothing.</summary>
    public Lookahead(float* queries, long queryCount, float* keys, long keyCount, float* values, long valueCount)
    {
        _tileLines = LinesPerTile;
        _next = queries;
        _end = queries + queryCount;
        _nextKeys = keys;
        _endKeys = keys + keyCount;
        _nextValues = values;
        _endValues = values + valueCount;
    }

    /// <summary>Rows that follow each other; others are not asked for.</summary>
    public Lookahead(in StoredRows rows)
        : this((float*)rows.First, rows.Stride == rows.Bytes ? rows.Count * (long)rows.Stride / sizeof(float) : 0, null, 0, null, 0) =>
        _tileLines = int.MaxValue;

    /// <summary>Takes the next lines, which a tile asks for one after another. Costs a comparison once nothing is left.</summary>
    /// <param name="ahead">What comes next; null for nothing.</param>
    /// <param name="most">Most lines that the tile has the time for.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LinePrefetch Take(Lookahead* ahead, int most) =>
        ahead != null && Sse.IsSupported ? ahead->Take(most) : default;

    private LinePrefetch Take(int most)
    {
        if (_next >= _end)
        {
            _next = _nextKeys;
            _end = _endKeys;
            _nextKeys = _nextValues;
            _endKeys = _endValues;
            _nextValues = null;
            _endValues = null;
        }

        float* first = _next;
        _next = Math.Min(Math.Min(most, _tileLines) * (nint)LineFloats, _end - _next) + _next;
        return new LinePrefetch(first, _next);
    }
}
