using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Rows of an accepted path, which move to the end of what the sequence had before.</content>
public sealed partial class KeyValueCache
{
    /// <summary>Keeps a sequence's first rows and some of those behind, and drops the others.</summary>
    internal void KeepPath(KeyValueSequence sequence, int length, ReadOnlySpan<int> accepted)
    {
        using var call = new CallMemory(Lifetime);
        lock (_gate)
        {
            RequireOpen();
            sequence.RequireFree();
            sequence.RequirePath(length, accepted);
            int kept = length + accepted.Length;

            // The first rows of a path may lie where they stay.
            int inPlace = 0;
            while (inPlace < accepted.Length && accepted[inPlace] == inPlace)
                inPlace++;
            if (inPlace < accepted.Length)
            {
                OwnPages(sequence, length + inPlace, kept);
                Move(sequence, length, accepted, inPlace);
            }

            sequence.Length = kept;
            ReleasePages(sequence, sequence.ResidentLength);
        }
    }

    // Makes the pages of some rows the sequence's own. All that can fail comes before the first change.
    private void OwnPages(KeyValueSequence sequence, int firstRow, int endRow)
    {
        int first = firstRow / Options.PageRows;
        int end = PagesOf(endRow);
        int needed = 0;
        foreach (int page in sequence.Pages[first..end])
            needed += _pages.IsShared(page) ? 1 : 0;
        if (needed == 0)
            return;
        RequirePages(needed);
        for (int i = first; i < end; i++)
        {
            if (_pages.IsShared(sequence.Pages[i]))
                OwnPage(sequence, i);
        }

        _table?.Write(sequence.Slot, first, sequence.Pages[first..end]);
    }

    // Rows move towards the start, the first ones first: none is written before it has been read.
    private void Move(KeyValueSequence sequence, int length, ReadOnlySpan<int> accepted, int first)
    {
        for (int i = first; i < accepted.Length;)
        {
            int run = 1;
            while (i + run < accepted.Length && accepted[i + run] == accepted[i] + run)
                run++;
            _store.MoveBack(sequence.Pages, length + accepted[i], length + i, run);
            i += run;
        }
    }
}
