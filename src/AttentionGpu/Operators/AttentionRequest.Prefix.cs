using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValueCaches;
using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <content>Rows that sequences of a cache share.</content>
internal partial struct AttentionRequest
{
    // What depends on a query's own position sees the rows of a prefix differently from each query.
    private const ScoreVariants OfPositions = ScoreVariants.Alibi | ScoreVariants.DistanceBias;

    // Cuts shared rows off the sequences, and makes a pass of them. The bits of a result depend on it, so a batch-invariant call has none.
    private void LowerPrefixes(in AttentionHeads heads, bool batchInvariant)
    {
        KeyValueBatchState? batch = heads.Cache;
        if (batch is null || batchInvariant || Signature.HasWindow || Signature.Has(OfPositions) || ExtraKeys.IsNeeded
            || batch.Cache.Options.Kind != KeyValueCacheKind.Paged || Extent.Output != Contiguous(heads))
            return;
        Span<Sequence> sequences = Tables.MutableSequences;
        int passes = 0;
        var longest = default(Sequence);
        Span<Sequence> groups = default;
        for (int first = 0; first < sequences.Length;)
        {
            int shared = SharedPrefix.Find(batch, first, out int end);
            if (shared > 0 && groups.IsEmpty)
            {
                groups = Tables.AddPrefixes(sequences.Length);
                for (; passes < first; passes++)
                    groups[passes] = Apart(sequences[passes], ref longest);
            }

            if (!groups.IsEmpty)
            {
                groups[passes++] = shared == 0
                    ? Apart(sequences[first], ref longest)
                    : Join(sequences[first..end], shared, ref longest);
            }

            first = end;
        }

        if (groups.IsEmpty)
            return;
        Tables.KeepPrefixes(passes);
        AddPrefixStep(heads, passes, longest);
    }

    private void AddPrefixStep(in AttentionHeads heads, int passes, Sequence longest)
    {
        bool hasLogSumExp = Signature.HasLogSumExp;
        Signature = Signature with { HasLogSumExp = true };
        int keys = 0;
        foreach (Sequence sequence in Tables.Sequences)
            keys = Math.Max(keys, sequence.KeyLength);
        Extent = Extent with { Sequence = Extent.Sequence with { KeyLength = keys } };
        Prefix = new PrefixStep
        {
            // All rows of the pass come before the batch's tokens: a tree hides none of them.
            Signature = Signature with { HasSinks = false, Variants = Signature.Variants & ~ScoreVariants.Tree },
            Extent = Extent with { Batch = passes, Sequence = longest },
            Merge = new MergeStatesSignature
            {
                Element = Signature.Element,
                ValueHeadSize = Signature.ValueHeadSize,
                HasLogSumExp = hasLogSumExp,
            },
            MergeExtent = new MergeStatesExtent
            {
                Parts = 2,
                Batch = 1,
                Heads = Extent.Heads,
                Length = heads.Query.Length,
                Output = Extent.Output,
                LogSumExp = Extent.LogSumExp,
            },
        };
    }

    private static TensorLayout Contiguous(in AttentionHeads heads) =>
        new(0, heads.Output.Size, (long)heads.Output.Heads * heads.Output.Size);

    // Queries without a shared row see no key in the pass.
    private static Sequence Apart(in Sequence sequence, ref Sequence longest)
    {
        longest.QueryLength = Math.Max(longest.QueryLength, sequence.QueryLength);
        return new Sequence { QueryStart = sequence.QueryStart, QueryLength = sequence.QueryLength };
    }

    // The group's queries follow each other, and see all shared rows.
    private static Sequence Join(Span<Sequence> sequences, int shared, ref Sequence longest)
    {
        var group = new Sequence
        {
            QueryStart = sequences[0].QueryStart,
            QueryLength = sequences[^1].QueryStart + sequences[^1].QueryLength - sequences[0].QueryStart,
            KeyStart = sequences[0].KeyStart,
            KeyLength = shared,
            CausalOffset = shared,
        };
        foreach (ref Sequence sequence in sequences)
        {
            sequence.KeyStart += shared;
            sequence.KeyLength -= shared;
            sequence.CausalOffset -= shared;
            sequence.WindowOffset -= shared;
            sequence.DistanceOffset -= shared;
            sequence.DroppedKeys += shared;
        }

        longest.QueryLength = Math.Max(longest.QueryLength, group.QueryLength);
        longest.KeyLength = Math.Max(longest.KeyLength, shared);
        return group;
    }
}
