using AttentionGpu.Tensors;

namespace AttentionGpu.KeyValueCaches;

/// <summary>What the sequences of a batch must be.</summary>
internal static class BatchRules
{
    /// <summary>Checks all of it before anything is changed, and marks the sequences as the batch's.</summary>
    public static void Require(
        KeyValueCache cache, ReadOnlySpan<KeyValueSequence> sequences, ReadOnlySpan<int> lengths, ReadOnlySpan<int> parents, bool appends)
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

            if (!parents.IsEmpty)
                RequireTree(cache, lengths, parents, tokens);
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

    // Lengths are checked already.
    private static void RequireTree(KeyValueCache cache, ReadOnlySpan<int> lengths, ReadOnlySpan<int> parents, long tokens)
    {
        const string name = "parents";
        BadInput.RefuseWhen(
            cache.Options.Kind == KeyValueCacheKind.Window, name, "the cache keeps a window, which goes by the order of rows");
        if (parents.Length != tokens)
            throw BadInput.Because(name, $"'{name}' must have a number for each of the {tokens} tokens; it has {parents.Length}.");
        int start = 0;
        int longest = 0;
        foreach (int length in lengths)
        {
            for (int token = 0; token < length; token++)
            {
                int parent = parents[start + token];
                if (parent >= -1 && parent < token)
                    continue;
                string rule = token == 0
                    ? "must be -1, since a sequence's first new token follows its past"
                    : $"must be -1 for the past, or 0 to {token - 1}, a token before it among its sequence's new ones";
                throw BadInput.OutOfRange(name, parent, $"Number {start + token} of '{name}' {rule}; it is {parent}.");
            }

            start += length;
            longest = Math.Max(longest, length);
        }

        if (tokens * TokenTree.WordsOf(longest) > Array.MaxLength)
        {
            throw BadInput.OutOfRange(
                name, tokens, $"'{name}' must be of fewer tokens: the ancestors of {tokens}, up to {longest} of a sequence, have no room.");
        }
    }

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
