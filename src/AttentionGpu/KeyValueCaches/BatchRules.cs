using AttentionGpu.Tensors;

namespace AttentionGpu.KeyValueCaches;

/// <summary>What the sequences of a batch must be.</summary>
internal static class BatchRules
{
    /// <summary>Checks all of it before anything is changed, and marks the sequences as the batch's.</summary>
    public static void Require(KeyValueCache cache, ReadOnlySpan<KeyValueSequence> sequences, ReadOnlySpan<int> lengths, bool appends)
    {
        int marked = 0;
        long tokens = 0;
        try
        {
            for (; marked < sequences.Length; marked++)
            {
                Require(cache, sequences[marked], lengths[marked], marked, appends);
                sequences[marked].IsInBatch = true;
                tokens += lengths[marked];
            }

            if (tokens > int.MaxValue)
            {
                string name = LengthsName(appends);
                throw BadInput.OutOfRange(name, tokens, $"'{name}' must add up to at most {int.MaxValue}; they add up to {tokens}.");
            }
        }
        catch
        {
            foreach (KeyValueSequence sequence in sequences[..marked])
                sequence.IsInBatch = false;
            throw;
        }
    }

    /// <summary>The public name of the numbers of tokens.</summary>
    public static string LengthsName(bool appends) => appends ? "lengths" : "queryLengths";

    private static void Require(KeyValueCache cache, KeyValueSequence? sequence, int length, int index, bool appends)
    {
        string lengthsName = LengthsName(appends);
        if (sequence is null)
            throw BadInput.Because("sequences", $"Number {index} of 'sequences' must be a sequence; it is null.");
        if (!ReferenceEquals(sequence.Cache, cache))
            throw BadInput.Because("sequences", $"Number {index} of 'sequences' must be a sequence of this cache; it is another's.");
        sequence.RequireFree();
        if (length < 0)
            throw new ArgumentOutOfRangeException(lengthsName, length, $"Number {index} of '{lengthsName}' must be at least 0.");
        if (!appends || length <= sequence.AppendableRows)
            return;
        string reason = cache.Options.Kind == KeyValueCacheKind.Window
            ? $"rows of a window are dropped before a call's first row only, so that it can append {sequence.AppendableRows} now"
            : $"the capacity is {cache.Options.Capacity}";
        throw new KeyValueCacheFullException(
            $"Number {index} of 'sequences' has {sequence.Length} rows, and {length} more do not fit: {reason}.");
    }
}
