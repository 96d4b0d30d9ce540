using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Memory;

/// <summary>
/// Memory that the next piece of work reads: a few lines are asked for with each register tile, whose arithmetic leaves the memory idle.
/// </summary>
internal unsafe struct Lookahead
{
    private const int LineFloats = 16;
    private const int LinesPerTile = 16;

    private float* _next;
    private float* _end;
    private float* _nextKeys;
    private float* _endKeys;
    private float* _nextValues;
    private float* _endValues;

    /// <summary>What is to be asked for, in this order; contiguous floats each, and null for nothing.</summary>
    public Lookahead(float* queries, long queryCount, float* keys, long keyCount, float* values, long valueCount)
    {
        _next = queries;
        _end = queries + queryCount;
        _nextKeys = keys;
        _endKeys = keys + keyCount;
        _nextValues = values;
        _endValues = values + valueCount;
    }

    /// <summary>Asks for the next lines. Costs a comparison once nothing is left.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Step(Lookahead* ahead)
    {
        if (ahead != null && Sse.IsSupported)
            ahead->Step();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Step()
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

        float* stop = _end - _next > LinesPerTile * LineFloats ? _next + LinesPerTile * LineFloats : _end;
        for (; _next < stop; _next += LineFloats)
            Sse.Prefetch1(_next);
    }
}
