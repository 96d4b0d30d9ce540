using AttentionGpu.KeyValueCaches;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Rows on their way to the host and back.</content>
public sealed partial class KeyValueCache
{
    /// <summary>
    /// A new sequence with the rows that <see cref="KeyValueSequence.Save"/> has written, of this cache or of another with the same layers,
    /// heads, sizes and element type.
    /// </summary>
    /// <param name="stream">The stream, from its position to its end; it is closed.</param>
    /// <exception cref="ArgumentException">The stream cannot be read, or has no positions.</exception>
    /// <exception cref="InvalidDataException">It has no sequence, or one that does not fit the cache. Nothing is changed.</exception>
    /// <exception cref="KeyValueCacheFullException">There is no room for the sequence. Nothing is changed.</exception>
    /// <exception cref="ObjectDisposedException">The cache or its engine is disposed.</exception>
    public KeyValueSequence Load(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        using var call = new CallMemory(Lifetime);
        HostRows rows = CacheFile.Read(stream, this);
        return Import(new KeyValueSequence(this), rows);
    }

    /// <summary>Whether a sequence of another cache has the form of this one's.</summary>
    internal bool HasSameRows(KeyValueCacheOptions other) =>
        (Options.Layers, Options.KeyValueHeads, Options.HeadSize, Options.ActualValueHeadSize, Options.Element, Options.ValuesInKeys)
        == (other.Layers, other.KeyValueHeads, other.HeadSize, other.ActualValueHeadSize, other.Element, other.ValuesInKeys);

    /// <summary>Why rows cannot be a sequence of this cache; null where they can.</summary>
    internal string? Misfit(int length, int dropped) =>
        length - dropped < Math.Min(length, (Options.Window ?? int.MaxValue) - 1)
            ? $"it has dropped the first {dropped} of its {length} rows, which this cache would keep"
        : length - dropped > Options.Capacity
            ? $"it has {length} rows, and the capacity is {Options.Capacity}"
            : null;

    /// <summary>Copies the rows of a sequence to the host. Nobody changes it meanwhile; other sequences go on.</summary>
    internal HostRows Export(KeyValueSequence sequence) => Export(sequence, 0, _store.Memories.Count);

    /// <summary>The same of some of the cache's memories.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="first">The number of the first memory.</param>
    /// <param name="count">How many memories.</param>
    internal HostRows Export(KeyValueSequence sequence, int first, int count)
    {
        using var call = new CallMemory(Lifetime);
        Hold(sequence);
        try
        {
            int rows = sequence.ResidentLength;
            var memories = new byte[count][];
            for (int i = 0; i < count; i++)
            {
                memories[i] = new byte[checked((long)Options.KeyValueHeads * rows * _store.Memories[first + i].RowBytes)];
                Rows.Download(first + i, sequence.Pages, rows, memories[i]);
            }

            return new HostRows(sequence.Length, sequence.Dropped, memories);
        }
        finally
        {
            LetGo(sequence);
        }
    }

    /// <summary>Gives a sequence without a place one, with pages, and rows from the host.</summary>
    internal KeyValueSequence Import(KeyValueSequence sequence, HostRows rows)
    {
        using var call = new CallMemory(Lifetime);
        lock (_gate)
        {
            RequireOpen();
            if (sequence.Slot >= 0)
                throw new InvalidOperationException("The sequence has its rows in the cache already.");
            RequirePages(PagesOf(rows.Count));
            Seat(sequence);
            (sequence.Length, sequence.Dropped) = (rows.Length, rows.Dropped);
            TakePages(sequence);
            sequence.IsInBatch = true;
        }

        try
        {
            for (int i = 0; i < rows.Memories.Count; i++)
                Rows.Upload(i, sequence.Pages, rows.Count, rows.Memories[i]);
        }
        finally
        {
            LetGo(sequence);
        }

        return sequence;
    }

    private void Hold(KeyValueSequence sequence)
    {
        lock (_gate)
        {
            RequireOpen();
            sequence.RequireFree();
            sequence.IsInBatch = true;
        }
    }

    private void LetGo(KeyValueSequence sequence)
    {
        lock (_gate)
        {
            sequence.IsInBatch = false;
            if (sequence.IsDisposed && sequence.Slot >= 0)
                Unseat(sequence);
        }
    }
}
