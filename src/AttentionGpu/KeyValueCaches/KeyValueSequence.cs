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
    public KeyValueSequence Fork(int length) => Cache.Change(this, () =>
    {
        RequireLength(length);
        return Cache.Fork(this, length);
    });

    /// <summary>Drops the last rows: a rejected draft, or a step back.</summary>
    /// <param name="length">
    /// Rows that stay, 0 to <see cref="Length"/>. In a window cache so many that it would have dropped as many rows from the start as it has:
    /// those are gone.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The sequence has not so many rows, or has dropped rows of them.</exception>
    /// <exception cref="InvalidOperationException">The sequence is spilled, or in a batch.</exception>
    /// <exception cref="ObjectDisposedException">The sequence, its cache or its engine is disposed.</exception>
    public void Truncate(int length) => Cache.Change(this, () =>
    {
        RequireLength(length);
        Length = length;
        Cache.ReleasePages(this, ResidentLength);
        return true;
    });

    /// <summary>
    /// Keeps the first rows and those of an accepted path behind them, which move up to the first ones, and drops all others: the end of a
    /// step whose new tokens formed a tree. Rows move as they are, since a path's tokens have the positions of the rows that they get.
    /// </summary>
    /// <remarks>
    /// The sequence does not remember the tree: rows that are no path, or branches that nobody drops, are the past of the next step like
    /// any others, at the positions that they were rotated for.
    /// </remarks>
    /// <param name="length">The first rows that stay, 0 to <see cref="Length"/>: those before the step.</param>
    /// <param name="accepted">
    /// The other rows that stay, strictly ascending, counted from <paramref name="length"/>: the step's tokens on the path. Row
    /// <paramref name="length"/> + accepted[i] becomes row <paramref name="length"/> + i. In a window cache, which has no trees, 0, 1, 2
    /// and so on, as many as <see cref="Truncate"/> would keep.
    /// </param>
    /// <exception cref="ArgumentException">
    /// The sequence has not so many rows or has dropped rows of them, or the path is not ascending. Nothing is changed.
    /// </exception>
    /// <exception cref="InvalidOperationException">The sequence is spilled, or in a batch.</exception>
    /// <exception cref="KeyValueCacheFullException">
    /// Rows would move into pages that are shared with a fork, and there are too few for copies of them. Nothing is changed.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The sequence, its cache or its engine is disposed.</exception>
    public void KeepPath(int length, ReadOnlySpan<int> accepted) => Cache.KeepPath(this, length, accepted);

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

    /// <summary>Throws where rows cannot be what <see cref="KeepPath"/> keeps.</summary>
    internal void RequirePath(int length, ReadOnlySpan<int> accepted)
    {
        RequireRows(length);
        for (int i = 0; i < accepted.Length; i++)
        {
            int least = i == 0 ? 0 : accepted[i - 1] + 1;
            int most = Length - length - 1;
            if (accepted[i] >= least && accepted[i] <= most)
                continue;
            throw BadInput.OutOfRange(
                nameof(accepted), accepted[i],
                $"Number {i} of 'accepted' must be more than the one before, and less than the {most + 1} rows behind 'length'; "
                + $"it is {accepted[i]}.");
        }

        if (Cache.Options.Kind != KeyValueCacheKind.Window)
            return;
        if (!accepted.IsEmpty && accepted[^1] >= accepted.Length)
        {
            throw BadInput.OutOfRange(
                nameof(accepted), accepted[^1], $"'accepted' must be 0 to {accepted.Length - 1} in order, since the cache keeps a window.");
        }

        RequireLength(length + accepted.Length);
    }

    private void RequireRows(int length)
    {
        if (length < 0 || length > Length)
            throw BadInput.OutOfRange(nameof(length), length, $"'length' must be 0 to the sequence's length, {Length}; it is {length}.");
    }

    private void RequireLength(int length)
    {
        RequireRows(length);
        if (length < Length && Cache.Window.Dropped(length) != Dropped)
        {
            throw BadInput.OutOfRange(
                nameof(length), length,
                $"'length' must be such that as many rows are dropped from the start as have been, {Dropped}; "
                + $"of {length} it would be {Cache.Window.Dropped(length)}, and dropped rows do not come back.");
        }
    }
}
