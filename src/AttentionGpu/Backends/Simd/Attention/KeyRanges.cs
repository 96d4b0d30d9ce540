using AttentionGpu.Kernels.Common.Tiles;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>Keys that a block of queries attends to in one step.</summary>
/// <param name="First">The first key.</param>
/// <param name="Count">How many there are.</param>
/// <param name="FirstLane">The first lane that sees any of them.</param>
/// <param name="IsPartial">Whether position hides some of them from some lane.</param>
internal readonly record struct KeyRange(int First, int Count, int FirstLane, bool IsPartial);

/// <summary>
/// The ranges of keys that a block of queries sees, in order. Under a causal mask they end at the diagonal, and the last ones, which only
/// the later half of the queries sees, have only that half's lanes. A window starts at its first query's first key. Keys that all queries
/// see are in ranges of their own, which need no mask.
/// </summary>
internal struct KeyRanges
{
    private readonly int _blockKeys;
    private readonly int _halfLane;

    // Where ranges end, in order: all lanes see from here, to here, all lanes are computed to here, and half of them to here.
    private readonly int _shownKey;
    private readonly int _hiddenKey;
    private readonly int _halfKey;
    private readonly int _endKey;

    // Where the first lane of a range stops to see, with all lanes and with half of them; and where the last lane starts.
    private readonly int _firstHidden;
    private readonly int _firstHiddenFromHalf;
    private readonly int _lastShown;
    private int _next;

    /// <param name="bounds">The keys that a query sees by position.</param>
    /// <param name="block">The queries.</param>
    /// <param name="firstKey">The first key of the part of all keys that is looked at.</param>
    /// <param name="endKey">The key after its last.</param>
    /// <param name="blockKeys">Most keys of a range.</param>
    /// <param name="narrowLanes">Lanes of half a panel.</param>
    public KeyRanges(in KeyBounds bounds, in QueryBlock block, int firstKey, int endKey, int blockKeys, int narrowLanes)
    {
        int lastQuery = block.FirstQuery + block.Queries - 1;
        _blockKeys = blockKeys;
        _next = Math.Max(firstKey, bounds.FirstKey(block.Sequence, block.FirstQuery));
        _endKey = Math.Max(_next, Math.Min(endKey, bounds.EndKey(block.Sequence, lastQuery)));
        _lastShown = bounds.FirstKey(block.Sequence, lastQuery);
        _firstHidden = bounds.ShownEnd(block.Sequence, block.FirstQuery);
        _halfLane = block.Lanes - narrowLanes;
        _firstHiddenFromHalf = bounds.ShownEnd(block.Sequence, block.FirstQuery + _halfLane);
        _halfKey = _halfLane == 0
            ? _endKey
            : Math.Clamp(bounds.EndKey(block.Sequence, block.FirstQuery + _halfLane - 1), _next, _endKey);
        _hiddenKey = Math.Clamp(_firstHidden & ~1, _next, _halfKey);
        _shownKey = Math.Clamp((_lastShown + 1) & ~1, _next, _hiddenKey);
    }

    public KeyRange Current { get; private set; }

    public readonly KeyRanges GetEnumerator() => this;

    public bool MoveNext()
    {
        if (_next >= _endKey)
            return false;
        bool isHalf = _next >= _halfKey;

        // What is left in equal parts, so that none is left with a few keys.
        int end = _next < _shownKey ? _shownKey : _next < _hiddenKey ? _hiddenKey : _next < _halfKey ? _halfKey : _endKey;
        int left = end - _next;
        int parts = TileCount.DivideUp(left, _blockKeys);
        int count = Math.Min(left, (TileCount.DivideUp(left, parts) + 1) & ~1);
        bool isPartial = _next < _lastShown || _next + count > (isHalf ? _firstHiddenFromHalf : _firstHidden);
        Current = new KeyRange(_next, count, isHalf ? _halfLane : 0, isPartial);
        _next += count;
        return true;
    }
}
