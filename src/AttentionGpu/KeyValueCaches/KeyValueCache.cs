using AttentionGpu.KeyValueCaches;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>
/// Keys and values of many sequences, of one layer or of all layers of a model, in the memory of an engine's device. Rows are written
/// where they stay, and attention reads them there. Made by <see cref="AttentionEngine.CreateCache"/>.
/// </summary>
/// <remarks>
/// All members may be called from many threads at once, but a sequence is in one batch at a time. Disposing of the cache gives its memory
/// back when the calls that use it have ended.
/// </remarks>
public sealed partial class KeyValueCache : IDisposable
{
    private readonly Lock _gate = new();
    private readonly KeyValueStore _store;
    private readonly PagePool _pages;
    private readonly PageTable? _table;
    private readonly KeyValueSequence?[] _slots;
    private readonly Stack<KeyValueBatchState> _idle = new();
    private int _openBatches;
    private bool _disposed;

    internal KeyValueCache(EngineLifetime lifetime, KeyValueCacheOptions options)
    {
        Lifetime = lifetime;
        Options = options;
        Window = new WindowResidence(options);
        _store = new KeyValueStore(lifetime, options);
        try
        {
            _table = options.Kind == KeyValueCacheKind.Paged ? new PageTable(lifetime, options) : null;
        }
        catch
        {
            _store.Release();
            throw;
        }

        _pages = new PagePool(options.ActualPages, options.GroupPages);
        _slots = new KeyValueSequence?[options.Sequences];
    }

    /// <summary>The cache's sizes, and how it keeps keys and values.</summary>
    public KeyValueCacheOptions Options { get; }

    /// <summary>Bytes of keys, values and scales that the cache has on the device, whether sequences use them or not.</summary>
    public long ByteLength => _store.PageBytes * _pages.Count;

    /// <summary>Pages that no sequence holds; of a cache that is not paged, sequences that can still be opened.</summary>
    public int FreePages
    {
        get
        {
            lock (_gate)
                return _pages.FreeCount;
        }
    }

    /// <summary>Pages that sequences hold.</summary>
    public int PagesInUse => _pages.Count - FreePages;

    internal EngineLifetime Lifetime { get; }

    internal KeyValueStore Store => _store;

    internal WindowResidence Window { get; }

    /// <summary>A page of a paged cache has 2 to the power of this rows.</summary>
    internal int PageShift => _table is null ? 0 : System.Numerics.BitOperations.Log2((uint)Options.PageRows);

    /// <summary>Copies of sequences' rows in host memory.</summary>
    internal SequenceRows Rows => new(_store, Lifetime.Memory, Options.KeyValueHeads, Options.PageRows);

    internal SharedMemory? PageNumbers => _table?.Memory;

    /// <summary>A new sequence, without rows.</summary>
    /// <exception cref="KeyValueCacheFullException">As many are open as the cache has room for.</exception>
    /// <exception cref="ObjectDisposedException">The cache or its engine is disposed.</exception>
    public KeyValueSequence Open()
    {
        using var call = new CallMemory(Lifetime);
        lock (_gate)
        {
            RequireOpen();
            return Seat(new KeyValueSequence(this));
        }
    }

    /// <summary>
    /// Makes room for new rows of sequences, and begins the calls that write them and attend to them, one for each layer. Sequences have
    /// their new lengths from here on; if the batch is disposed of before every layer has been written, they get the old ones back.
    /// </summary>
    /// <param name="sequences">Sequences of this cache, each once, that are in no other batch.</param>
    /// <param name="lengths">New rows of each, at least 0: its new tokens.</param>
    /// <param name="parents">
    /// [tokens of the batch], for drafts that are verified together: the token that each follows, as a number among its own sequence's new
    /// tokens, or -1 for the sequence's past. A parent comes before its children. A token then sees its sequence's past, its ancestors and
    /// itself, in every layer, whatever a call's causal option; its position is the number of past rows plus its depth, 0 for one that
    /// follows the past. Empty where each token follows the one before. Miao and others, "SpecInfer" (2023); Cai and others, "Medusa"
    /// (2024).
    /// </param>
    /// <remarks>
    /// <see cref="KeyValueSequence.KeepPath"/> drops the branches that were not accepted. Windows and biases by distance are refused in the
    /// calls of a batch with <paramref name="parents"/>.
    /// </remarks>
    /// <exception cref="ArgumentException">
    /// A sequence is another cache's or is named twice, the numbers do not fit, a parent does not come before its child, or there are
    /// parents and the cache keeps a window.
    /// </exception>
    /// <exception cref="InvalidOperationException">A sequence is spilled, or in another batch.</exception>
    /// <exception cref="KeyValueCacheFullException">There is no room for all new rows. Nothing is changed.</exception>
    /// <exception cref="ObjectDisposedException">The cache, its engine or a sequence is disposed.</exception>
    public KeyValueBatch Append(
        ReadOnlySpan<KeyValueSequence> sequences, ReadOnlySpan<int> lengths, ReadOnlySpan<int> parents = default) =>
        Begin(sequences, lengths, parents, appends: true);

    /// <summary>Begins calls whose queries attend to the rows that sequences have, and write none: cross-attention.</summary>
    /// <param name="sequences">As for <see cref="Append"/>.</param>
    /// <param name="queryLengths">Queries of each, at least 0.</param>
    /// <exception cref="ArgumentException">As for <see cref="Append"/>.</exception>
    /// <exception cref="InvalidOperationException">As for <see cref="Append"/>.</exception>
    /// <exception cref="ObjectDisposedException">As for <see cref="Append"/>.</exception>
    public KeyValueBatch Read(ReadOnlySpan<KeyValueSequence> sequences, ReadOnlySpan<int> queryLengths) =>
        Begin(sequences, queryLengths, default, appends: false);

    /// <summary>
    /// Moves the pages of each sequence next to each other, to the start of the cache's memory. Results do not change.
    /// </summary>
    /// <exception cref="InvalidOperationException">A batch is open.</exception>
    /// <exception cref="AttentionMemoryException">There is no memory for the list of moves.</exception>
    public void Defragment()
    {
        using var call = new CallMemory(Lifetime);
        lock (_gate)
        {
            RequireOpen();
            if (_openBatches > 0)
                throw new InvalidOperationException($"A cache cannot be defragmented while a batch is open; {_openBatches} are.");
            if (_table is null)
                return;
            int[] numbers = PageOrder.Sequential(_slots, _pages.Count);
            DeviceMemory spare = call.Rent(_store.LargestRunBytes);
            _store.Permute(numbers, spare);
            _pages.Renumber(numbers);
            foreach (KeyValueSequence? sequence in _slots)
            {
                if (sequence is null)
                    continue;
                foreach (ref int page in sequence.Pages)
                    page = numbers[page];
                _table.Write(sequence.Slot, 0, sequence.Pages);
            }
        }
    }

    /// <summary>Gives the cache's memory back. Calls that use it already still finish on it.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
                return;
            _disposed = true;
        }

        _store.Release();
        _table?.Memory.Release();
    }

    /// <summary>Runs a change of sequences that no other change and no batch may come between.</summary>
    internal TResult Change<TResult>(KeyValueSequence sequence, Func<TResult> change)
    {
        using var call = new CallMemory(Lifetime);
        lock (_gate)
        {
            RequireOpen();
            sequence.RequireFree();
            return change();
        }
    }

    /// <summary>Takes a sequence out, now or when its batch ends.</summary>
    internal void Remove(KeyValueSequence sequence)
    {
        lock (_gate)
        {
            if (sequence.TryDispose() && !sequence.IsInBatch && sequence.Slot >= 0)
                Unseat(sequence);
        }
    }

    /// <summary>Gives a sequence a place in the table. Within <see cref="Change"/>.</summary>
    internal KeyValueSequence Seat(KeyValueSequence sequence)
    {
        int slot = Array.IndexOf(_slots, null);
        if (slot < 0)
            throw new KeyValueCacheFullException($"The cache has room for {_slots.Length} sequences, and as many are open.");
        _slots[slot] = sequence;
        sequence.Slot = slot;
        return sequence;
    }

    /// <summary>Takes a sequence's place and pages. Within <see cref="Change"/>.</summary>
    internal void Unseat(KeyValueSequence sequence)
    {
        ReleasePages(sequence, 0);
        _slots[sequence.Slot] = null;
        sequence.Slot = -1;
    }

    /// <summary>Shares the pages of a sequence's first rows with a new one. Within <see cref="Change"/>.</summary>
    internal KeyValueSequence Fork(KeyValueSequence source, int length)
    {
        int resident = length - source.Dropped;
        KeyValueSequence fork = Seat(new KeyValueSequence(this) { Length = length, Dropped = source.Dropped });
        if (_table is null && resident > 0)
        {
            // As many pages as places: there is one.
            fork.AddPage(_pages.Take(previous: -1));
            _store.CopyPage(source.Pages[0], fork.Pages[0]);
            return fork;
        }

        int pages = PagesOf(resident);
        for (int i = 0; i < pages; i++)
        {
            _pages.Share(source.Pages[i]);
            fork.AddPage(source.Pages[i]);
        }

        _table?.Write(fork.Slot, 0, fork.Pages);
        return fork;
    }

    /// <summary>Gives the pages behind a number of rows back. Within <see cref="Change"/>, or a batch's end.</summary>
    internal void ReleasePages(KeyValueSequence sequence, int residentRows)
    {
        int kept = PagesOf(residentRows);
        foreach (int page in sequence.Pages[kept..])
            _pages.Release(page);
        sequence.KeepPages(kept);
    }

    /// <summary>Gives a sequence without pages as many as its rows need. Within <see cref="Change"/>.</summary>
    internal void TakePages(KeyValueSequence sequence)
    {
        int needed = PagesOf(sequence.ResidentLength);
        RequirePages(needed);
        for (int i = 0; i < needed; i++)
            AddPage(sequence);
        _table?.Write(sequence.Slot, 0, sequence.Pages);
    }

    /// <summary>The first row of a sequence in terms of <see cref="Kernels.Common.Sequences.Sequence.KeyStart"/>.</summary>
    internal int KeyStart(KeyValueSequence sequence) => _table is not null
        ? sequence.Slot * Options.PagesPerSequence * Options.PageRows
        : sequence.Pages.IsEmpty ? 0 : (int)(sequence.Pages[0] * _store.PageRowCount);

    /// <summary>Where the stored rows of keys or values lie, as plans see it.</summary>
    internal TensorLayout Layout(int size)
    {
        TensorLayout layout = _store.Layout(size);
        return _table is null ? layout with { BatchStride = 0 } : layout;
    }

    private void AddPage(KeyValueSequence sequence) =>
        sequence.AddPage(_pages.Take(sequence.Pages.IsEmpty ? -1 : sequence.Pages[^1]));

    // Copies a page of a sequence that others hold too.
    private void OwnPage(KeyValueSequence sequence, int index)
    {
        ref int page = ref sequence.Pages[index];
        int own = _pages.Take(index == 0 ? -1 : sequence.Pages[index - 1]);
        _store.CopyPage(page, own);
        _pages.Release(page);
        page = own;
    }

    private int PagesOf(int rows) => (int)(((long)rows + Options.PageRows - 1) / Options.PageRows);

    private void RequirePages(int needed)
    {
        if (needed > _pages.FreeCount)
        {
            throw new KeyValueCacheFullException(
                $"{needed} pages of {Options.PageRows} rows are needed; {_pages.FreeCount} of the cache's {_pages.Count} are free.");
        }
    }

    private void RequireOpen() => ObjectDisposedException.ThrowIf(_disposed, this);
}
