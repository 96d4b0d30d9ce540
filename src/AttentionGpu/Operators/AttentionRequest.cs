using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.KeyValueCaches;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <summary>
/// The one validated, lowered form of a call of attention: rows that are copied, normalised or rotated first, and the computation that is
/// left.
/// The operator and the layer both make it.
/// </summary>
internal partial struct AttentionRequest : IDisposable
{
    public AttentionSignature Signature;

    public AttentionExtent Extent;

    /// <summary>Makes the queries that attention reads, where it does not read the call's own.</summary>
    public HeadTransformStep Query;

    /// <summary>Puts the keys behind the past, normalised and rotated.</summary>
    public HeadTransformStep Key;

    /// <summary>Puts the values behind the past.</summary>
    public HeadTransformStep Value;

    /// <summary>Copies the past keys.</summary>
    public HeadTransformStep PastKey;

    /// <summary>Copies the past values.</summary>
    public HeadTransformStep PastValue;

    /// <summary>Joins extra keys to what attention has computed.</summary>
    public ExtraKeysStep ExtraKeys;

    /// <summary>Attends to rows that sequences of a cache share.</summary>
    public PrefixStep Prefix;

    public RequestTables Tables;

    /// <summary>Validates a call. <see cref="Dispose"/> gives its tables back.</summary>
    /// <param name="heads">Queries, keys, values, past and output, with their shapes checked.</param>
    /// <param name="inputs">The other tensors that it reads.</param>
    /// <param name="outputs">The other tensors that it writes.</param>
    /// <param name="options">Its options, validated.</param>
    /// <param name="names">The public names of its arguments.</param>
    /// <param name="batchInvariant">Whether the call is batch-invariant whatever the options say.</param>
    /// <exception cref="ArgumentException">A shape or an option is wrong.</exception>
    public static AttentionRequest Create<T>(
        in AttentionHeads heads, in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions options,
        AttentionNames names, bool batchInvariant)
        where T : unmanaged
    {
        var request = default(AttentionRequest);
        try
        {
            request.Lower(heads, inputs, outputs, options, names);
            request.LowerPrefixes(heads, batchInvariant || options.BatchInvariant);
            if (batchInvariant)
                request.Signature = request.Signature with { BatchInvariant = true };
            return request;
        }
        catch
        {
            request.Dispose();
            throw;
        }
    }

    /// <summary>Gives the tables back.</summary>
    public void Dispose() => Tables.Dispose();

    private void Lower<T>(
        in AttentionHeads heads, in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions options, AttentionNames names)
        where T : unmanaged
    {
        ElementType element = ElementTypes.Of<T>();
        AttentionRules.RefuseContradictions(heads, inputs, outputs, options, names);
        if (heads.Cache is not null)
            CacheRules.Require(heads, inputs, options, names);
        Sequence sequence = LowerSequences(heads, inputs, options, names);
        int rotarySize = AttentionRules.RotarySize(inputs, heads);
        int sequences = heads.IsRagged ? Tables.GivenSequences.Length : heads.Query.Batch;
        AttentionRules.RequireHeads(inputs.Sinks, heads.Query.Heads, "sinks");
        ReadOnlySpan<nint> scores = [heads.Query.Batch, heads.Query.Heads, heads.Query.Length, heads.TotalKeys];
        int extraKeys = heads.WritesOnly ? 0 : AttentionRules.ExtraKeys(heads, inputs, options);
        ScoreStage? stage = AttentionRules.Scores(
            outputs, [scores[0], scores[1], scores[2], scores[3] + extraKeys], heads.AxesLeftOut, names.Scores);
        TokenTree? tree = heads.Cache is { Tree.Exists: true } batch && !heads.WritesOnly ? batch.Tree : null;
        Signature = new AttentionSignature
        {
            Element = element,
            KeyValue = heads.Cache?.Cache.Options.Form ?? new KeyValueForm(element),
            HeadSize = heads.Query.Size,
            ValueHeadSize = heads.Value.Size,
            GroupSize = heads.Query.Heads / heads.Key.Heads,

            // A tree shows no key behind a query's own, so that a causal range leaves out what nobody sees.
            Causal = tree is null ? SequenceTable.KindOf(options.Causal, !inputs.PrefixLengths.IsEmpty) : CausalKind.Causal,
            HasWindow = options.Window is not null,
            Variants = options.Variants | AttentionRules.Variants(inputs, heads) | (tree is null ? 0 : ScoreVariants.Tree),
            HasSinks = inputs.Sinks.IsPresent,
            HasSequences = Tables.HasSequences,
            HasLogSumExp = outputs.LogSumExp.IsPresent || extraKeys > 0,

            // Means over heads are made when the extra keys have joined each head.
            Scores = extraKeys > 0 && stage == ScoreStage.AverageWeights ? ScoreStage.Weights : stage,
            BatchInvariant = options.BatchInvariant,
        };
        if (tree is not null)
            Tables.AddAncestors(tree.Ancestors);
        if (heads.Cache is null)
            LowerRows(heads, inputs, outputs, options, element, rotarySize);
        else
            LowerCachedRows(heads, inputs, options, rotarySize);
        KeyValueCache? cache = heads.Cache?.Cache;
        Extent = new AttentionExtent
        {
            Batch = heads.IsRagged ? Tables.Sequences.Length : heads.Query.Batch,
            Heads = heads.Query.Heads,
            KeyValueHeads = heads.Key.Heads,
            Scale = options.Scale ?? AttentionExtent.DefaultScale(heads.Query.Size),
            Sequence = heads.WritesOnly ? sequence with { QueryLength = 0 } : sequence,
            Query = Query.IsNeeded ? Query.Extent.Target : heads.Query.Layout,
            Key = cache?.Layout(cache.Store.KeySize) ?? (Key.IsNeeded ? Key.Extent.Target : heads.Key.Layout),
            Value = cache?.Layout(cache.Store.ValueSize) ?? (Value.IsNeeded ? Value.Extent.Target : heads.Value.Layout),
            PageShift = cache?.PageShift ?? 0,
            Output = heads.Output.Layout,
            LogSumExp = AttentionRules.LogSumExp(outputs, heads),
            AlibiBatchStride = AttentionRules.AlibiBatchStride(inputs.AlibiSlopes, sequences, heads.Query.Heads),
            DistanceReach = inputs.DistanceBias.IsPresent
                ? AttentionRules.DistanceReach(inputs.DistanceBias.Lengths, heads.Query.Heads, "distanceBias")
                : 0,
            AncestorWords = tree?.Words ?? 0,
            HiddenKeys = Tables.HasSequences ? 0 : heads.TotalKeys - sequence.KeyLength,
            Window = options.Window is { } window ? WindowOf(window) : default,
            Softcap = options.Softcap ?? 0f,
            Bias = inputs.Mask.Bias.IsPresent ? MaskRules.LayOut(inputs.Mask.Bias, scores) : LayOutKeyBias(inputs, scores),
            KeyBias = inputs.Mask.Bias.IsPresent ? LayOutKeyBias(inputs, scores) : default,
            Mask = MaskRules.LayOut(inputs.Mask.Visible, scores),
        };
        if (extraKeys > 0)
        {
            ExtraKeys = JoinStep(
                heads, inputs.ExtraKey.IsPresent, options.AddZeroAttention, stage, outputs.LogSumExp.IsPresent);
        }
    }

    private readonly ExtraKeysStep JoinStep(in AttentionHeads heads, bool hasKey, bool hasZeroKey, ScoreStage? stage, bool hasSums) => new()
    {
        Signature = new ExtraKeysSignature
        {
            Element = Signature.Element,
            HeadSize = Signature.HeadSize,
            ValueHeadSize = Signature.ValueHeadSize,
            GroupSize = Signature.GroupSize,
            HasKey = hasKey,
            HasZeroKey = hasZeroKey,
            HasSoftcap = Signature.Has(ScoreVariants.Softcap),
            Scores = stage,
        },
        Extent = new ExtraKeysExtent
        {
            Batch = heads.Query.Batch,
            Heads = Extent.Heads,

            // Tokens behind the last ragged sequence see no key, these neither.
            Length = !heads.IsRagged ? heads.Query.Length
                : Tables.GivenSequences.IsEmpty ? 0
                : Tables.GivenSequences[^1].QueryStart + Tables.GivenSequences[^1].QueryLength,
            KeyLength = heads.TotalKeys,
            Scale = Extent.Scale,
            Softcap = Extent.Softcap,
            Query = Extent.Query,
            Output = Extent.Output,
            LogSumExp = Extent.LogSumExp,
        },
        SumsInWorkspace = hasSums ? 0 : (long)heads.Query.Batch * Extent.Heads * heads.Query.Length,
    };

    // [batch, key length] as a mask of every head and query.
    private static MaskStrides LayOutKeyBias<T>(in AttentionInputs<T> inputs, ReadOnlySpan<nint> scores)
        where T : unmanaged =>
        inputs.KeyPaddingBias.IsPresent ? MaskRules.LayOut([scores[0], 1, 1, scores[3]], scores) : default;

    private static WindowSize WindowOf(AttentionWindow window) => new(
        Math.Min(window.Left ?? int.MaxValue, WindowRange.Unbounded), Math.Min(window.Right ?? int.MaxValue, WindowRange.Unbounded));

    // The sequence of all batch entries; with the longest lengths where each has its own, in the tables.
    private Sequence LowerSequences<T>(
        in AttentionHeads heads, in AttentionInputs<T> inputs, AttentionOptions options, AttentionNames names)
        where T : unmanaged
    {
        if (heads.Cache is not null)
            return LowerCachedSequences(heads.Cache);
        if (heads.IsRagged)
        {
            return SequenceTable.FillRagged(
                ref Tables, options, inputs.CumulativeQueryLengths, heads.Query.Length, inputs.CumulativeKeyLengths, heads.Key.Length,
                inputs.KeyLengths, names.CumulativeQueryLengths);
        }

        Sequence sequence = SequenceTable.Create(options, heads.Query.Length, heads.TotalKeys, heads.PastLength);
        int visibleKeys = MaskRules.VisibleKeys(inputs.Mask, heads.TotalKeys);
        if (!inputs.KeyLengths.IsEmpty || !inputs.PrefixLengths.IsEmpty)
        {
            SequenceTable.Fill(
                ref Tables, options, heads.Query.Batch, heads.Query.Length, heads.TotalKeys, heads.PastLength, inputs.KeyLengths,
                inputs.PrefixLengths, visibleKeys);
            return sequence;
        }

        return sequence with { KeyLength = visibleKeys };
    }

    private void LowerRows<T>(
        in AttentionHeads heads, in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions options, ElementType element,
        int rotarySize)
        where T : unmanaged
    {
        int past = heads.PastLength;
        int tableLength = rotarySize > 0 ? (int)inputs.RotaryCosine.Lengths[^2] : 0;
        bool areTablesOfTokens = rotarySize > 0 && inputs.RotaryCosine.Lengths.Length == 3;
        if (inputs.QueryPositions.Rank != 0)
            Tables.AddQueryPositions(inputs.QueryPositions, heads.Query, tableLength, Math.Min(heads.AxesLeftOut, 1));
        if (inputs.KeyPositions.Rank != 0)
            Tables.AddKeyPositions(inputs.KeyPositions, heads.Key, tableLength, Math.Min(heads.AxesLeftOut, 1));
        if (areTablesOfTokens && heads.IsRagged && inputs.QueryPositions.Rank == 0)
            Tables.AddTokenPositions(heads.Query.Length, heads.Key.Length);
        int first = areTablesOfTokens ? 0 : past;
        int tableStride = areTablesOfTokens && inputs.RotaryCosine.Lengths[0] > 1 ? tableLength : 0;
        var rotary = new HeadTransformSignature
        {
            Element = element,
            Target = new KeyValueForm(element),
            Size = heads.Query.Size,
            RotarySize = rotarySize,
            IsInterleaved = rotarySize > 0 && options.RotaryInterleaved,
            HasSequences = heads.IsRagged,
        };
        if (inputs.QueryNorm.IsPresent || rotarySize > 0)
        {
            Query = Rows(
                heads, heads.Query, heads.Query.Length, ofKeys: false, first, tableStride, options.NormEpsilon, default, 0,
                rotary with { HasNorm = inputs.QueryNorm.IsPresent, HasPositions = Tables.HasQueryPositions });
            RequirePositions(Query, tableLength, "queryPositions");
        }

        if (inputs.KeyNorm.IsPresent || rotarySize > 0 || past > 0 || outputs.PresentKey.IsPresent)
        {
            Key = Rows(
                heads, heads.Key, heads.TotalKeys, ofKeys: true, first, tableStride, options.NormEpsilon, heads.PresentKey, past,
                rotary with { HasNorm = inputs.KeyNorm.IsPresent, HasPositions = Tables.HasKeyPositions });
            RequirePositions(Key, tableLength, "keyPositions");
        }

        HeadTransformSignature values = new() { Element = element, Target = new KeyValueForm(element), Size = heads.Value.Size };
        if (past > 0 || outputs.PresentValue.IsPresent)
            Value = Rows(heads, heads.Value, heads.TotalKeys, ofKeys: true, 0, 0, 0f, heads.PresentValue, past, values);
        if (past > 0 && !heads.PresentKey.HoldsPast)
            PastKey = PastRows(heads, heads.PastKey, heads.PresentKey, values with { Size = heads.Key.Size });
        if (past > 0 && !heads.PresentValue.HoldsPast)
            PastValue = PastRows(heads, heads.PastValue, heads.PresentValue, values);
    }

    private readonly HeadTransformStep PastRows(
        in AttentionHeads heads, in HeadTensor past, in PresentRows present, HeadTransformSignature signature) =>
        Rows(heads, past, heads.TotalKeys, ofKeys: true, 0, 0, 0f, present, 0, signature);

    private readonly HeadTransformStep Rows(
        in AttentionHeads heads, in HeadTensor source, int targetLength, bool ofKeys, int firstPosition, int tableStride, float epsilon,
        in PresentRows present, int firstRow, HeadTransformSignature signature) => new()
        {
            IsNeeded = true,
            Signature = signature,
            FirstRow = firstRow,
            TargetElements = (long)source.Batch * source.Heads * targetLength * source.Size,
            Extent = new HeadTransformExtent
            {
                Batch = signature.HasSequences ? Tables.GivenSequences.Length : source.Batch,
                Heads = source.Heads,
                Length = signature.HasSequences ? Longest(ofKeys) : source.Length,
                Source = source.Layout,
                Target = present.IsPresent ? present.Layout
                    : heads.IsRagged ? new TensorLayout(0, source.Size, (long)source.Heads * source.Size)
                    : TensorLayout.Contiguous(source.Heads, targetLength, source.Size),
                NormEpsilon = epsilon,
                FirstPosition = firstPosition,
                TableStride = tableStride,
                RowsAreKeys = ofKeys,
            },
        };

    private readonly int Longest(bool ofKeys)
    {
        int longest = 0;
        foreach (Sequence sequence in Tables.GivenSequences)
            longest = Math.Max(longest, ofKeys ? sequence.KeyLength : sequence.QueryLength);
        return longest;
    }

    // Positions that nobody gave follow each other from the first on.
    private static void RequirePositions(in HeadTransformStep step, int tableLength, string name)
    {
        if (step.Signature.RotarySize == 0 || step.Signature.HasPositions || step.Extent.IsEmpty)
            return;
        long last = (long)step.Extent.FirstPosition + step.Extent.Length - 1;
        if (last >= tableLength)
        {
            throw new ArgumentOutOfRangeException(
                name, last, $"A position in '{name}' must be a row of the rotary tables, 0 to {tableLength - 1}.");
        }
    }
}
