using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.KeyValueCaches;

/// <summary>What a <see cref="KeyValueBatch"/> stands for. It is used again, so that a step allocates nothing.</summary>
internal sealed class KeyValueBatchState(KeyValueCache cache)
{
    private readonly bool[] _written = new bool[cache.Options.Layers];
    private KeyValueSequence[] _sequences = [];
    private int[] _starts = [0];
    private int _count;

    /// <summary>Counts the batches that it has been.</summary>
    public long Version { get; private set; }

    public KeyValueCache Cache => cache;

    /// <summary>Whether the batch writes rows.</summary>
    public bool Appends { get; private set; }

    /// <summary>The trees of the new tokens.</summary>
    public TokenTree Tree { get; } = new();

    public ReadOnlySpan<KeyValueSequence> Sequences => _sequences.AsSpan(0, _count);

    /// <summary>[sequences + 1]: where each one's tokens start among all of the batch.</summary>
    public ReadOnlySpan<int> Starts => _starts.AsSpan(0, _count + 1);

    /// <summary>Tokens of all sequences.</summary>
    public int Tokens => _starts[_count];

    /// <summary>Whether nothing is left to write.</summary>
    public bool IsComplete => !Appends || Tokens == 0 || !_written.AsSpan().Contains(false);

    /// <summary>Begins a batch, before the sequences have room for it.</summary>
    public KeyValueBatch Begin(ReadOnlySpan<KeyValueSequence> sequences, ReadOnlySpan<int> lengths, ReadOnlySpan<int> parents, bool appends)
    {
        Appends = appends;
        _count = sequences.Length;
        if (_sequences.Length < _count)
        {
            Array.Resize(ref _sequences, _count);
            Array.Resize(ref _starts, _count + 1);
        }

        sequences.CopyTo(_sequences);
        for (int i = 0; i < _count; i++)
            _starts[i + 1] = checked(_starts[i] + lengths[i]);
        _written.AsSpan().Clear();
        Tree.Clear();
        if (!parents.IsEmpty)
            Plant(parents);
        return new KeyValueBatch(this, Version);
    }

    /// <summary>The rows of a sequence before the batch.</summary>
    public int OldLength(int index) => _sequences[index].Length - (_starts[index + 1] - _starts[index]);

    /// <summary>The position of a sequence's last token; of its deepest one in a tree.</summary>
    public int LastPosition(int index) =>
        Tree.Exists ? Tree.LastPosition(_starts[index], _starts[index + 1]) : _sequences[index].Length - 1;

    public bool IsWritten(int layer) => _written[layer];

    public void SetWritten(int layer) => _written[layer] = true;

    /// <summary>Fills the table of sequences for a call.</summary>
    /// <returns>A sequence with the longest lengths.</returns>
    public Sequence Fill(Span<Sequence> table)
    {
        var longest = default(Sequence);
        for (int i = 0; i < _count; i++)
        {
            KeyValueSequence sequence = _sequences[i];
            int queries = _starts[i + 1] - _starts[i];
            int past = sequence.ResidentLength - queries;
            table[i] = new Sequence
            {
                QueryStart = _starts[i],
                QueryLength = queries,
                KeyStart = cache.KeyStart(sequence),
                KeyLength = sequence.ResidentLength,
                CausalOffset = past,
                WindowOffset = past,
                DistanceOffset = past,
                DroppedKeys = sequence.Dropped,
            };
            longest.QueryLength = Math.Max(longest.QueryLength, queries);
            longest.KeyLength = Math.Max(longest.KeyLength, sequence.ResidentLength);
        }

        return longest;
    }

    private void Plant(ReadOnlySpan<int> parents)
    {
        int longest = 0;
        for (int i = 0; i < _count; i++)
            longest = Math.Max(longest, _starts[i + 1] - _starts[i]);
        Tree.Begin(Tokens, longest);
        for (int i = 0; i < _count; i++)
            Tree.Add(_starts[i], _sequences[i].Length, parents[_starts[i].._starts[i + 1]]);
    }

    /// <summary>Lets go of the sequences; the batch that it was is over.</summary>
    public void Clear()
    {
        Version++;
        _sequences.AsSpan(0, _count).Clear();
        _count = 0;
    }
}
