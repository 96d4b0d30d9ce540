using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.KeyValueCaches;

/// <summary>
/// One of the memories of a layer: keys or values, and the scales beside them where they are quantised. [page][head][row][bytes]; pages of
/// host memory are [head][page][row][bytes], so that those in order are one run of a head's rows.
/// </summary>
/// <param name="Rows">The rows.</param>
/// <param name="Scales">Their scales; null where there are none.</param>
internal sealed record KeyValueMemory(SharedMemory Rows, SharedMemory? Scales);

/// <summary>The memory of a cache, on the device: that of every layer's keys and values, and how it is laid out.</summary>
internal sealed class KeyValueStore
{
    private readonly EngineLifetime _lifetime;
    private readonly KeyValueMemory[] _keys;
    private readonly KeyValueMemory[] _values;
    private readonly List<(SharedMemory Memory, int RowBytes)> _memories = [];
    private readonly KeyValueElement _element;
    private readonly bool _isLatent;
    private readonly int _heads;
    private readonly int _pageRows;
    private readonly int _pages;
    private readonly bool _headsAreOuter;

    // Of a cache whose rows move: what lies between where they were and where they go.
    private readonly DeviceMemory _between;

    /// <exception cref="AttentionMemoryException">There is not enough; none is taken then.</exception>
    public KeyValueStore(EngineLifetime lifetime, KeyValueCacheOptions options)
    {
        _lifetime = lifetime;
        (_element, _isLatent, _heads, _pageRows) = (options.Element, options.ValuesInKeys, options.KeyValueHeads, options.PageRows);
        _pages = options.ActualPages;

        // A device copies a page with one command.
        _headsAreOuter = options.Kind == KeyValueCacheKind.Paged && lifetime.Memory.IsHostMemory;
        KeySize = options.HeadSize;
        ValueSize = options.Form.StoredValueSize(options.HeadSize, options.ActualValueHeadSize);
        _keys = new KeyValueMemory[options.Layers];
        _values = _isLatent ? _keys : new KeyValueMemory[options.Layers];
        long rows = checked((long)options.ActualPages * PageRowCount);
        try
        {
            for (int layer = 0; layer < options.Layers; layer++)
            {
                _keys[layer] = Rent(rows, KeySize);
                if (!_isLatent)
                    _values[layer] = Rent(rows, ValueSize);
            }

            if (options.Kind == KeyValueCacheKind.Window)
                _between = lifetime.Memory.Rent((long)options.Capacity * _memories.Max(memory => memory.RowBytes));
        }
        catch
        {
            Release();
            throw;
        }
    }

    /// <summary>Elements of a stored key.</summary>
    public int KeySize { get; }

    /// <summary>Elements of a stored value; those of the key where values are in keys.</summary>
    public int ValueSize { get; }

    public int Layers => _keys.Length;

    /// <summary>Rows of a page, of all heads.</summary>
    public long PageRowCount => (long)_heads * _pageRows;

    /// <summary>Bytes of a page in all memories of all layers.</summary>
    public long PageBytes => PageRowCount * _memories.Sum(memory => (long)memory.RowBytes);

    // Of the runs of a page: rows that lie in one place.
    private long RunRows => _headsAreOuter ? _pageRows : PageRowCount;

    private int Runs => _headsAreOuter ? _heads : 1;

    /// <summary>Where a page's rows of a head begin, in rows from a memory's start.</summary>
    public long FirstRow(int page, int head) =>
        _headsAreOuter ? ((long)head * _pages + page) * _pageRows : ((long)page * _heads + head) * _pageRows;

    public KeyValueMemory Keys(int layer) => _keys[layer];

    public KeyValueMemory Values(int layer) => _values[layer];

    /// <summary>Where rows lie, as <see cref="KeyValueForm"/> tells; the row stride is that of stored rows.</summary>
    /// <param name="size">Elements of a stored row.</param>
    public TensorLayout Layout(int size)
    {
        long unit = _element.IsQuantised() ? 1 : size;
        return new TensorLayout(FirstRow(1, 0) * unit, FirstRow(0, 1) * unit, unit);
    }

    /// <summary>
    /// Every memory of the cache and the bytes of a row in it: layer by layer keys, their scales, values, their scales, as far as there
    /// are any.
    /// </summary>
    public IReadOnlyList<(SharedMemory Memory, int RowBytes)> Memories => _memories;

    /// <summary>Bytes of a page's run in the memory where it is largest.</summary>
    public long LargestRunBytes => RunRows * _memories.Max(memory => memory.RowBytes);

    /// <summary>Copies a page to another, in all memories.</summary>
    public void CopyPage(int source, int target)
    {
        foreach ((SharedMemory memory, int rowBytes) in _memories)
        {
            for (int run = 0; run < Runs; run++)
                _lifetime.Memory.Copy(Run(memory, rowBytes, source, run), Run(memory, rowBytes, target, run));
        }
    }

    /// <summary>Moves every page p to page numbers[p], in all memories.</summary>
    /// <param name="numbers">New numbers by old ones.</param>
    /// <param name="spare">Memory of <see cref="LargestRunBytes"/>.</param>
    public void Permute(ReadOnlySpan<int> numbers, DeviceMemory spare)
    {
        int[] sources = new int[numbers.Length];
        for (int page = 0; page < numbers.Length; page++)
            sources[numbers[page]] = page;
        foreach ((SharedMemory memory, int rowBytes) in _memories)
        {
            for (int run = 0; run < Runs; run++)
                Permute(memory, rowBytes, run, (int[])sources.Clone(), spare.Slice<byte>(0, RunRows * rowBytes));
        }
    }

    /// <summary>Moves rows of a page to its start, in every head and all memories.</summary>
    /// <param name="page">The page.</param>
    /// <param name="first">The first of the rows.</param>
    /// <param name="count">How many there are.</param>
    public void MoveToStart(int page, int first, int count)
    {
        foreach ((SharedMemory memory, int rowBytes) in _memories)
        {
            for (int head = 0; head < _heads; head++)
                MoveToStart(memory.Peek(), rowBytes, page, head, first, count);
        }
    }

    /// <summary>Moves rows of a sequence to rows before them, in every head and all memories.</summary>
    /// <param name="pages">The pages of the sequence.</param>
    /// <param name="source">The first of the rows.</param>
    /// <param name="target">Where it goes; less than <paramref name="source"/>.</param>
    /// <param name="count">How many there are.</param>
    public void MoveBack(ReadOnlySpan<int> pages, int source, int target, int count)
    {
        // Parts that neither leave a page nor overlap where they go.
        int shift = source - target;
        for (int end = source + count; source < end;)
        {
            int from = source % _pageRows;
            int to = target % _pageRows;
            int part = Math.Min(Math.Min(end - source, shift), _pageRows - Math.Max(from, to));
            foreach ((SharedMemory memory, int rowBytes) in _memories)
            {
                for (int head = 0; head < _heads; head++)
                {
                    _lifetime.Memory.Copy(
                        Rows(memory, rowBytes, pages[source / _pageRows], head, from, part),
                        Rows(memory, rowBytes, pages[target / _pageRows], head, to, part));
                }
            }

            source += part;
            target += part;
        }
    }

    private DeviceMemory Rows(SharedMemory memory, int rowBytes, int page, int head, int first, int count) =>
        memory.Peek().Slice<byte>((FirstRow(page, head) + first) * rowBytes, (long)count * rowBytes);

    private void MoveToStart(DeviceMemory memory, int rowBytes, int page, int head, int first, int count)
    {
        long start = FirstRow(page, head) * rowBytes;
        long bytes = (long)count * rowBytes;
        DeviceMemory source = memory.Slice<byte>(start + (long)first * rowBytes, bytes);
        if (first < count)
        {
            _lifetime.Memory.Copy(source, _between.Slice<byte>(0, bytes));
            source = _between.Slice<byte>(0, bytes);
        }

        _lifetime.Memory.Copy(source, memory.Slice<byte>(start, bytes));
    }

    /// <summary>Gives all memory back.</summary>
    public void Release()
    {
        if (_between.Exists)
            _lifetime.Memory.Return(_between);
        foreach ((SharedMemory memory, _) in _memories)
            memory.Release();
    }

    // A cycle of pages: each takes the next one's place, the first by way of the spare memory.
    private void Permute(SharedMemory memory, int rowBytes, int run, int[] left, DeviceMemory spare)
    {
        for (int first = 0; first < left.Length; first++)
        {
            if (left[first] == first)
                continue;

            _lifetime.Memory.Copy(Run(memory, rowBytes, first, run), spare);
            int target = first;
            while (left[target] != first)
            {
                int source = left[target];
                _lifetime.Memory.Copy(Run(memory, rowBytes, source, run), Run(memory, rowBytes, target, run));
                left[target] = target;
                target = source;
            }

            _lifetime.Memory.Copy(spare, Run(memory, rowBytes, target, run));
            left[target] = target;
        }
    }

    // Rows of a page that lie in one place.
    private DeviceMemory Run(SharedMemory memory, int rowBytes, int page, int run) =>
        memory.Peek().Slice<byte>(FirstRow(page, run) * rowBytes, RunRows * rowBytes);

    private KeyValueMemory Rent(long rows, int size)
    {
        SharedMemory memory = RentRows(rows, _element.RowBytes(size));
        return new KeyValueMemory(memory, _element.IsQuantised() ? RentRows(rows, _element.ScaleBytes(size)) : null);
    }

    private SharedMemory RentRows(long rows, int rowBytes)
    {
        SharedMemory memory = SharedMemory.Rent(_lifetime, checked(rows * rowBytes));
        _memories.Add((memory, rowBytes));
        return memory;
    }
}
