using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValueCaches;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <content>Calls whose keys and values are in a cache.</content>
internal partial struct AttentionRequest
{
    // The lengths of the batch's sequences, each with its new rows.
    private Sequence LowerCachedSequences(KeyValueBatchState batch) => batch.Fill(Tables.AddSequences(batch.Sequences.Length));

    // New rows go behind those of their sequence, in the form of the cache.
    private void LowerCachedRows<T>(in AttentionHeads heads, in AttentionInputs<T> inputs, AttentionOptions options, int rotarySize)
        where T : unmanaged
    {
        KeyValueBatchState batch = heads.Cache!;
        KeyValueCacheOptions cache = batch.Cache.Options;
        int tableLength = rotarySize > 0 ? (int)inputs.RotaryCosine.Lengths[^2] : 0;
        if (inputs.QueryPositions.Rank != 0)
            Tables.AddQueryPositions(inputs.QueryPositions, heads.Query, tableLength, 0);
        if (inputs.KeyPositions.Rank != 0)
            Tables.AddKeyPositions(inputs.KeyPositions, heads.Key, tableLength, 0);
        if (rotarySize > 0 && inputs.RotaryCosine.Lengths.Length == 3 && inputs.QueryPositions.Rank == 0)
            Tables.AddTokenPositions(heads.Query.Length, heads.Key.Length);
        (bool givesQueries, bool givesKeys) = (Tables.HasQueryPositions, Tables.HasKeyPositions);
        if (rotarySize > 0 && batch.Tree.Exists)
            Tables.AddTreePositions(batch.Tree.Positions);
        ElementType element = ElementTypes.Of<T>();
        var rows = new HeadTransformSignature
        {
            Element = element,
            Target = new KeyValueForm(element),
            Size = heads.Query.Size,
            RotarySize = rotarySize,
            IsInterleaved = rotarySize > 0 && options.RotaryInterleaved,
            HasSequences = true,
            FollowsPast = true,
        };
        if (!heads.WritesOnly && (inputs.QueryNorm.IsPresent || rotarySize > 0))
        {
            Query = CachedRows(
                batch, heads.Query, new TensorLayout(0, heads.Query.Size, (long)heads.Query.Heads * heads.Query.Size), ofKeys: false,
                options.NormEpsilon, rows with { HasNorm = inputs.QueryNorm.IsPresent, HasPositions = Tables.HasQueryPositions });
            if (!givesQueries)
                RequireCachedPositions(Query, batch, tableLength, "queryPositions");
        }

        if (!batch.Appends)
            return;
        rows = rows with { Target = cache.Form };
        Key = CachedRows(
            batch, heads.Key, batch.Cache.Layout(batch.Cache.Store.KeySize), ofKeys: true, options.NormEpsilon,
            rows with { HasNorm = inputs.KeyNorm.IsPresent, HasPositions = Tables.HasKeyPositions });
        if (!givesKeys)
            RequireCachedPositions(Key, batch, tableLength, "keyPositions");
        if (cache.ValuesInKeys)
            return;
        Value = CachedRows(
            batch, heads.Value, batch.Cache.Layout(batch.Cache.Store.ValueSize), ofKeys: true, 0f,
            rows with { Size = heads.Value.Size, RotarySize = 0, IsInterleaved = false });
    }

    private readonly HeadTransformStep CachedRows(
        KeyValueBatchState batch, in HeadTensor source, TensorLayout target, bool ofKeys, float epsilon,
        HeadTransformSignature signature) => new()
        {
            IsNeeded = true,
            Signature = signature,
            TargetElements = (long)source.Heads * source.Length * source.Size,
            Extent = new HeadTransformExtent
            {
                Batch = batch.Sequences.Length,
                Heads = source.Heads,
                Length = Longest(ofKeys: false),
                Source = source.Layout,
                Target = target,
                NormEpsilon = epsilon,
                RowsAreKeys = ofKeys,
                PageShift = batch.Cache.PageShift,
            },
        };

    // Positions that nobody gave follow those of the sequence's rows, in a tree by depth.
    private static void RequireCachedPositions(in HeadTransformStep step, KeyValueBatchState batch, int tableLength, string name)
    {
        if (step.Signature.RotarySize == 0)
            return;
        for (int i = 0; i < batch.Sequences.Length; i++)
        {
            int last = batch.LastPosition(i);
            int first = batch.Sequences[i].Length - (batch.Starts[i + 1] - batch.Starts[i]);
            if (first < 0)
            {
                throw BadInput.OutOfRange(
                    name, first,
                    $"'{name}' must be given where a sequence has more queries than rows: "
                    + $"the first query of sequence {i} has position {first}.");
            }

            if (batch.Starts[i] < batch.Starts[i + 1] && last >= tableLength)
            {
                throw BadInput.OutOfRange(
                    name, last,
                    $"A position must be a row of the rotary tables, 0 to {tableLength - 1}; "
                    + $"the last token of sequence {i} has position {last}.");
            }
        }
    }
}
