using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>
/// A sequence of a <see cref="KeyValueCache"/>: the rows of its tokens, in every layer. Dispose of it to give its rows back. It is in one
/// batch at a time, and cannot be changed meanwhile.
/// </summary>
public sealed partial class KeyValueSequence : IDisposable
{
    private int[] _pages = [];
    private int _pageCount;

    internal KeyValueSequence(KeyValueCache cache)
    {
        Cache = cache;
    }

    /// <summary>The cache that it is a sequence of.</summary>
    public KeyValueCache Cache { get; }

    /// <summary>Rows that have been appended: tokens.</summary>
    public int Length { get; internal set; }

    /// <summary>Rows that the cache keeps: all, but for the last ones only of a <see cref="KeyValueCacheKind.Window"/>.</summary>
    public int ResidentLength => Length - Dropped;

    /// <summary>The most rows that one call can append, if there are pages for them.</summary>
    public int AppendableRows => Cache.Window.Appendable(Length, Dropped);

    /// <summary>Rows that a window has dropped.</summary>
    internal int Dropped { get; set; }

    /// <summary>Its row of the page table; -1 where it has none.</summary>
    internal int Slot { get; set; } = -1;

    internal bool IsInBatch { get; set; }

    internal bool IsDisposed { get; private set; }

    /// <summary>The pages that hold its rows, in order.</summary>
    internal Span<int> Pages => _pages.AsSpan(0, _pageCount);

    /// <summary>
    /// A new sequence with the same rows, which both extend by themselves from here on. In a paged cache they share the pages; a page that
    /// one of them writes to is copied first.
    /// </summary>
    /// <exception cref="InvalidOperationException">The sequence is spilled, or in a batch.</exception>
    /// <exception cref="KeyValueCacheFullException">There is no room for another sequence.</exception>
    /// <exception cref="ObjectDisposedException">The sequence, its cache or its engine is disposed.</exception>
    public KeyValueSequence Fork() => Fork(Length);

    /// <summary>As <see cref="Fork()"/>, with the first rows only.</summary>
    /// <param name="length">Rows of the new sequence, 0 to <see cref="Length"/>; as for <see cref="Truncate"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The sequence has not so many rows, or has dropped rows of them.</exception>
    /// <inheritdoc cref="Fork()" path="/exception"/>
    public KeyValueSequence Fork(int length) => Cache.Change(this, length, static (sequence, length) =>
    {
        sequence.RequireLength(length);
        return sequence.Cache.Fork(sequence, length);
    });

    /// <summary>Drops the last rows: a rejected draft, or a step back.</summary>
    /// <param name="length">
    /// Rows that stay, 0 to <see cref="Length"/>. In a window cache not fewer than are needed for the rows that were dropped at the start to be
    /// the same: those are gone.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The sequence has not so many rows, or has dropped rows of them.</exception>
    /// <exception cref="InvalidOperationException">The sequence is spilled, or in a batch.</exception>
    /// <exception cref="ObjectDisposedException">The sequence, its cache or its engine is disposed.</exception>
    public void Truncate(int length) => Cache.Change(this, length, static (sequence, length) =>
    {
        sequence.RequireLength(length);
        sequence.Length = length;
        sequence.Cache.ReleasePages(sequence, sequence.ResidentLength);
        return true;
    });

    /// <summary>Gives its rows back; after the batch that it is in.</summary>
    public void Dispose() => Cache.Remove(this);

    /// <summary>Marks it; false where it was already.</summary>
    internal bool TryDispose()
    {
        bool first = !IsDisposed;
        IsDisposed = true;
        return first;
    }

    /// <summary>Throws where it is in a batch, has no rows in the cache, or is gone.</summary>
    internal void RequireFree()
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (IsSpilled)
            throw new InvalidOperationException("The sequence is spilled: its rows are in host memory. Restore it first.");
        if (IsInBatch)
            throw new InvalidOperationException("A sequence is in one batch at a time, and cannot be changed until its batch ends.");
    }

    internal void AddPage(int page)
    {
        if (_pageCount == _pages.Length)
            Array.Resize(ref _pages, Math.Max(4, 2 * _pageCount));
        _pages[_pageCount++] = page;
    }

    internal void KeepPages(int count) => _pageCount = Math.Min(count, _pageCount);

    private void RequireLength(int length)
    {
        if (length < 0 || length > Length)
            throw BadInput.OutOfRange(nameof(length), length, $"'length' must be 0 to the sequence's length, {Length}; it is {length}.");
        if (length < Length && Cache.Window.Dropped(length) != Dropped)
        {
            throw BadInput.OutOfRange(
                nameof(length), length,
                $"'length' must be such that as many rows are dropped from the start as have been, {Dropped}; "
                + $"of {length} it would be {Cache.Window.Dropped(length)}, and dropped rows do not come back.");
        }
    }
}
