using AttentionGpu.Kernels.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>Keys that a block of queries attends to in one step.</summary>
/// <param name="First">The first key.</param>
/// <param name="Count">How many there are.</param>
/// <param name="FirstLane">The first lane that sees any of them.</param>
/// <param name="IsDiagonal">Whether a causal mask hides some of them from some lane.</param>
internal readonly record struct KeyRange(int First, int Count, int FirstLane, bool IsDiagonal);

/// <summary>
/// The ranges of keys that a block of queries sees, in order. Under a causal mask they end at the diagonal, and the last ones, which only
/// the later half of the queries sees, have only that half's lanes.
/// </summary>
internal struct KeyRanges
{
    private readonly int _blockKeys;
    private readonly int _halfLane;
    private readonly long _firstHidden;
    private readonly int _halfKey;
    private readonly int _endKey;
    private int _next;

    /// <param name="problem">The problem.</param>
    /// <param name="block">The queries.</param>
    /// <param name="firstKey">The first key of the part of all keys that is looked at.</param>
    /// <param name="endKey">The key after its last.</param>
    /// <param name="blockKeys">Most keys of a range.</param>
    /// <param name="narrowLanes">Lanes of half a panel.</param>
    public KeyRanges(AttentionProblem problem, in QueryBlock block, int firstKey, int endKey, int blockKeys, int narrowLanes)
    {
        _blockKeys = blockKeys;
        _next = firstKey;
        if (problem.CausalOffset is int offset)
        {
            long diagonal = (long)block.FirstQuery + offset;
            _endKey = (int)Math.Clamp(diagonal + block.Queries, firstKey, endKey);
            _halfLane = block.Lanes - narrowLanes;
            _halfKey = _halfLane == 0 ? _endKey : (int)Math.Clamp(diagonal + _halfLane, firstKey, _endKey);
            _firstHidden = diagonal + 1;
        }
        else
        {
            _endKey = endKey;
            _halfKey = endKey;
            _firstHidden = long.MaxValue;
        }
    }

    public KeyRange Current { get; private set; }

    public readonly KeyRanges GetEnumerator() => this;

    public bool MoveNext()
    {
        if (_next >= _endKey)
            return false;
        bool isHalf = _next >= _halfKey;

        // What is left in equal parts, so that none is left with a few keys.
        int left = (isHalf ? _endKey : _halfKey) - _next;
        int parts = TileCount.DivideUp(left, _blockKeys);
        int count = Math.Min(left, (TileCount.DivideUp(left, parts) + 1) & ~1);
        int firstLane = isHalf ? _halfLane : 0;
        Current = new KeyRange(_next, count, firstLane, _next + (long)count > _firstHidden + firstLane);
        _next += count;
        return true;
    }
}
