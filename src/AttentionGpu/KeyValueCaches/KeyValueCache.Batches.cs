using AttentionGpu.KeyValueCaches;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>The begin and the end of batches, and the room for their rows.</content>
public sealed partial class KeyValueCache
{
    /// <summary>Ends a batch.</summary>
    internal void End(KeyValueBatchState batch)
    {
        lock (_gate)
        {
            _openBatches--;
            for (int i = 0; i < batch.Sequences.Length; i++)
            {
                KeyValueSequence sequence = batch.Sequences[i];
                sequence.IsInBatch = false;
                if (!batch.IsComplete)
                {
                    sequence.Length = batch.OldLength(i);
                    ReleasePages(sequence, sequence.ResidentLength);
                }

                if (sequence.IsDisposed)
                    Unseat(sequence);
            }

            batch.Clear();
            _idle.Push(batch);
        }
    }

    private KeyValueBatch Begin(
        ReadOnlySpan<KeyValueSequence> sequences, ReadOnlySpan<int> lengths, ReadOnlySpan<int> parents, bool appends)
    {
        if (lengths.Length != sequences.Length)
        {
            string name = BatchRules.LengthsName(appends);
            throw BadInput.Because(
                name, $"'{name}' must have a number for each of the {sequences.Length} sequences; it has {lengths.Length}.");
        }

        using var call = new CallMemory(Lifetime);
        lock (_gate)
        {
            RequireOpen();
            BatchRules.Require(this, sequences, lengths, parents, appends);
            KeyValueBatchState? state = null;
            try
            {
                state = _idle.TryPop(out KeyValueBatchState? idle) ? idle : new KeyValueBatchState(this);
                KeyValueBatch batch = state.Begin(sequences, lengths, parents, appends);
                if (appends)
                    MakeRoom(sequences, lengths);
                _openBatches++;
                return batch;
            }
            catch
            {
                foreach (KeyValueSequence sequence in sequences)
                    sequence.IsInBatch = false;
                if (state is not null)
                {
                    state.Clear();
                    _idle.Push(state);
                }

                throw;
            }
        }
    }

    // All that can fail comes before the first change.
    private void MakeRoom(ReadOnlySpan<KeyValueSequence> sequences, ReadOnlySpan<int> lengths)
    {
        int needed = 0;
        for (int i = 0; i < sequences.Length; i++)
        {
            if (lengths[i] == 0)
                continue;
            needed += PagesOf(RowsAfter(sequences[i], lengths[i])) - sequences[i].Pages.Length;
            if (WritesSharedPage(sequences[i]))
                needed++;
        }

        RequirePages(needed);
        for (int i = 0; i < sequences.Length; i++)
        {
            if (lengths[i] > 0)
                MakeRoom(sequences[i], lengths[i]);
        }
    }

    private void MakeRoom(KeyValueSequence sequence, int length)
    {
        int dropped = Window.Dropped(sequence.Length + length);
        if (dropped > sequence.Dropped)
        {
            _store.MoveToStart(sequence.Pages[0], dropped - sequence.Dropped, sequence.Length - dropped);
            sequence.Dropped = dropped;
        }

        int first = sequence.Pages.Length;
        if (WritesSharedPage(sequence))
            OwnPage(sequence, --first);

        int pages = PagesOf(sequence.ResidentLength + length);
        while (sequence.Pages.Length < pages)
            AddPage(sequence);
        sequence.Length += length;
        if (first < pages)
            _table?.Write(sequence.Slot, first, sequence.Pages[first..]);
    }

    private int RowsAfter(KeyValueSequence sequence, int length) =>
        sequence.Length + length - Window.Dropped(sequence.Length + length, sequence.Dropped);

    // Of a fork: the page that has some of its rows, and room for others.
    private bool WritesSharedPage(KeyValueSequence sequence)
    {
        int last = sequence.Pages.Length - 1;
        return last >= 0 && sequence.ResidentLength < (last + 1) * Options.PageRows && _pages.IsShared(sequence.Pages[last]);
    }
}
