using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <summary>
/// A validated call of scaled dot-product attention: which rows are copied, normalised or rotated first, and the problem that is left.
/// </summary>
internal sealed record AttentionRequest
{
    public required AttentionProblem Problem { get; init; }

    /// <summary>Makes the queries that attention reads; null where it reads the call's own.</summary>
    public HeadTransform? QueryRows { get; init; }

    /// <summary>Puts the keys behind the past, normalised and rotated; null where attention reads the call's own.</summary>
    public HeadTransform? KeyRows { get; init; }

    /// <summary>Puts the values behind the past; null where attention reads the call's own.</summary>
    public HeadTransform? ValueRows { get; init; }

    /// <summary>Copies the past keys; null without any.</summary>
    public HeadTransform? PastKeyRows { get; init; }

    /// <summary>Copies the past values; null without any.</summary>
    public HeadTransform? PastValueRows { get; init; }

    /// <summary>Whether anything is copied, normalised or rotated.</summary>
    public bool MovesRows => QueryRows is not null || KeyRows is not null || ValueRows is not null;

    /// <summary>A sequence for each batch entry; null where they are all alike.</summary>
    public Sequence[]? Sequences { get; init; }

    /// <summary>Rows of the rotary tables for queries; null where nothing is rotated.</summary>
    public int[]? QueryPositions { get; init; }

    /// <summary>Rows of the rotary tables for keys; null where nothing is rotated.</summary>
    public int[]? KeyPositions { get; init; }

    /// <summary>Validates a call. Names in errors are those of the inputs and outputs.</summary>
    /// <param name="inputs">What it reads.</param>
    /// <param name="outputs">What it writes.</param>
    /// <param name="options">Its options.</param>
    /// <param name="inPlace">Whether strided tensors are used where they are, if their last axis is contiguous.</param>
    /// <param name="scoresName">What the scores are called.</param>
    /// <exception cref="ArgumentException">A shape or an option is wrong.</exception>
    public static AttentionRequest Create<T>(
        in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions options, bool inPlace, string scoresName)
        where T : unmanaged
    {
        ElementType element = ElementTypes.Of<T>();
        options.Validate();
        bool isRagged = !inputs.CumulativeQueryLengths.IsEmpty;
        int? keyHeads = options.KeyValueHeads ?? options.Heads;
        HeadTensor query = Read(inputs.Query, options, options.Heads, "head size", "query", isRagged, inPlace);
        HeadTensor key = Read(inputs.Key, options, keyHeads, "head size", "key", isRagged, inPlace);
        HeadTensor value = Read(inputs.Value, options, keyHeads, "value head size", "value", isRagged, inPlace);
        CheckShapes(query, key, value, inputs);
        int past = PastLength(inputs, key, value, isRagged);
        int keyLength = past + key.Length;
        HeadTensor output = ReadOutput(inputs, outputs, options, query, value, isRagged, inPlace);
        (Sequence[]? sequences, AttentionProblem problem) =
            Describe(inputs, options, element, query, key, value, output, keyLength, past, isRagged);
        problem = problem with
        {
            LogSumExp = LogSumExp(outputs, query, isRagged),
            Scores = Scores(outputs, problem, isRagged, scoresName),
        };
        CheckPresent(outputs, key, value, keyLength, isRagged);

        int rotarySize = RotarySize(inputs, query.Size);
        HeadTransform Rows(HeadTensor source, TensorLayout target) => new()
        {
            Batch = source.Batch,
            Heads = source.Heads,
            Length = source.Length,
            Size = source.Size,
            Element = element,
            Source = source.Layout,
            Target = target,
            IsInterleaved = options.RotaryInterleaved,
        };
        TensorLayout Fresh(HeadTensor rows, int length) => isRagged
            ? new TensorLayout(0, rows.Size, (long)rows.Heads * rows.Size)
            : TensorLayout.Contiguous(rows.Heads, length, rows.Size);

        bool changesQuery = inputs.QueryNorm.IsPresent || rotarySize > 0;
        bool changesKey = inputs.KeyNorm.IsPresent || rotarySize > 0;
        TensorLayout queryTarget = Fresh(query, query.Length);
        TensorLayout keyTarget = Fresh(key, keyLength);
        TensorLayout valueTarget = Fresh(value, keyLength);
        bool movesKey = changesKey || past > 0 || outputs.PresentKey.IsPresent;
        bool movesValue = past > 0 || outputs.PresentValue.IsPresent;
        int tableLength = rotarySize > 0 ? (int)inputs.RotaryCosine.Lengths[0] : 0;
        ReadOnlySpan<Sequence> ragged = isRagged ? sequences : default;
        return new AttentionRequest
        {
            Problem = problem with
            {
                Query = changesQuery ? queryTarget : query.Layout,
                Key = movesKey ? keyTarget : key.Layout,
                Value = movesValue ? valueTarget : value.Layout,
            },
            Sequences = sequences,
            QueryRows = !changesQuery ? null : Rows(query, queryTarget) with
            {
                NormEpsilon = inputs.QueryNorm.IsPresent ? options.NormEpsilon : null,
                RotarySize = rotarySize,
            },
            KeyRows = !movesKey ? null : Rows(key, keyTarget) with
            {
                NormEpsilon = inputs.KeyNorm.IsPresent ? options.NormEpsilon : null,
                RotarySize = rotarySize,
            },
            ValueRows = movesValue ? Rows(value, valueTarget) : null,
            PastKeyRows = past == 0 ? null : Rows(Past(inputs.PastKey, options, "head size", "pastKey", inPlace), keyTarget),
            PastValueRows = past == 0 ? null : Rows(Past(inputs.PastValue, options, "value head size", "pastValue", inPlace), valueTarget),
            QueryPositions = rotarySize == 0 ? null
                : RotaryPositions.Create(inputs.QueryPositions, query, past, ragged, ofKeys: false, tableLength),
            KeyPositions = rotarySize == 0 ? null
                : RotaryPositions.Create(inputs.KeyPositions, key, past, ragged, ofKeys: true, tableLength),
        };
    }

    private static HeadTensor Read<T>(
        in TensorInput<T> tensor, AttentionOptions options, int? heads, string sizeName, string name, bool isRagged, bool inPlace)
        where T : unmanaged
    {
        ReadOnlySpan<nint> strides = inPlace && tensor.HasContiguousRows ? tensor.Strides : default;
        return isRagged
            ? HeadTensor.ReadRagged(tensor.Lengths, strides, sizeName, name)
            : HeadTensor.Read(tensor.Lengths, strides, options.Layout, heads, sizeName, name);
    }

    private static HeadTensor Past<T>(in TensorInput<T> tensor, AttentionOptions options, string sizeName, string name, bool inPlace)
        where T : unmanaged =>
        Read(tensor, options with { Layout = AttentionLayout.BatchHeadsLength }, null, sizeName, name, isRagged: false, inPlace);

    private static void CheckShapes<T>(HeadTensor query, HeadTensor key, HeadTensor value, in AttentionInputs<T> inputs)
        where T : unmanaged
    {
        if (query.Heads == 0)
            throw ShapeRules.Error(inputs.Query.Lengths, "must have at least one head", "query");
        if (query.Size == 0)
            throw ShapeRules.Error(inputs.Query.Lengths, "must have a head size of at least 1", "query");
        Require(key.Batch == query.Batch, inputs.Key, $"must have query's batch, {query.Batch}", "key");
        Require(key.Heads != 0 && query.Heads % key.Heads == 0, inputs.Key, $"must have a number of heads that divides query's {query.Heads}", "key");
        Require(key.Size == query.Size, inputs.Key, $"must have query's head size, {query.Size}", "key");
        Require(value.Batch == query.Batch, inputs.Value, $"must have query's batch, {query.Batch}", "value");
        Require(value.Heads == key.Heads, inputs.Value, $"must have key's heads, {key.Heads}", "value");
        Require(value.Length == key.Length, inputs.Value, $"must have key's length, {key.Length}", "value");
        Require(value.Size != 0, inputs.Value, "must have a value head size of at least 1", "value");
    }

    private static void Require<T>(bool holds, in TensorInput<T> tensor, string rule, string name)
        where T : unmanaged
    {
        if (!holds)
            throw ShapeRules.Error(tensor.Lengths, rule, name);
    }

    private static int PastLength<T>(in AttentionInputs<T> inputs, HeadTensor key, HeadTensor value, bool isRagged)
        where T : unmanaged
    {
        if (!inputs.PastKey.IsPresent && !inputs.PastValue.IsPresent)
            return 0;
        const string missing = "'pastKey' and 'pastValue' must be given together; '{0}' is missing.";
        if (!inputs.PastKey.IsPresent)
            throw BadInput.Because("pastKey", string.Format(null, missing, "pastKey"));
        if (!inputs.PastValue.IsPresent)
            throw BadInput.Because("pastValue", string.Format(null, missing, "pastValue"));
        RefuseWhen(isRagged, "pastKey", "sequences are ragged");
        RefuseWhen(!inputs.KeyLengths.IsEmpty, "pastKey", "there are key lengths");
        ShapeRules.RequireRank(inputs.PastKey.Lengths, 4, "[batch, key/value heads, past length, head size]", "pastKey");
        int past = (int)inputs.PastKey.Lengths[2];
        ShapeRules.Require(
            inputs.PastKey.Lengths, [key.Batch, key.Heads, past, key.Size], "[batch, key/value heads, past length, head size]", "pastKey");
        ShapeRules.Require(
            inputs.PastValue.Lengths, [key.Batch, key.Heads, past, value.Size], "[batch, key/value heads, past length, value head size]", "pastValue");
        if (past > int.MaxValue - key.Length)
            throw ShapeRules.Error(inputs.PastKey.Lengths, $"must leave room for {key.Length} keys below {int.MaxValue}", "pastKey");
        return past;
    }

    private static HeadTensor ReadOutput<T>(
        in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions options, HeadTensor query, HeadTensor value, bool isRagged,
        bool inPlace)
        where T : unmanaged
    {
        // The shape of the query, with the values' size.
        ReadOnlySpan<nint> lengths = inputs.Query.Lengths;
        bool isJoined = !isRagged && lengths.Length == 3;
        nint[] expected = [.. lengths[..^1], isJoined ? (nint)query.Heads * value.Size : value.Size];
        ShapeRules.Require(
            outputs.Output.Lengths, expected, isJoined ? "query's shape with heads x value head size last" : "query's shape with the value head size last",
            "output");
        return Read(outputs.Output.AsInput(), options, query.Heads, "value head size", "output", isRagged, inPlace);
    }

    private static (Sequence[]? Sequences, AttentionProblem Problem) Describe<T>(
        in AttentionInputs<T> inputs, AttentionOptions options, ElementType element, HeadTensor query, HeadTensor key, HeadTensor value,
        HeadTensor output, int keyLength, int past, bool isRagged)
        where T : unmanaged
    {
        bool hasPrefix = !inputs.PrefixLengths.IsEmpty;
        RefuseWhen(hasPrefix && options.Causal == Causal.None, "prefixLengths", "nothing is causal");
        RefuseWhen(isRagged && hasPrefix, "prefixLengths", "sequences are ragged");
        RefuseWhen(isRagged && !inputs.KeyLengths.IsEmpty, "keyLengths", "sequences are ragged");
        RefuseWhen(isRagged && (inputs.Mask.Visible.IsPresent || inputs.Mask.Bias.IsPresent), "mask", "sequences are ragged");
        RefuseWhen(isRagged && inputs.QueryDocuments.Rank != 0, "queryDocuments", "sequences are ragged");
        RefuseWhen(!isRagged && !inputs.CumulativeKeyLengths.IsEmpty, "cumulativeKeyLengths", "there are no 'cumulativeQueryLengths'");
        Sequence[]? sequences = isRagged
            ? SequenceTable.Unpack(options, inputs.CumulativeQueryLengths, query.Length, inputs.CumulativeKeyLengths, key.Length)
            : inputs.KeyLengths.IsEmpty && !hasPrefix ? null
            : SequenceTable.Create(options, query.Batch, query.Length, keyLength, past, inputs.KeyLengths, inputs.PrefixLengths);
        RequireHeads(inputs.AlibiSlopes, query.Heads, "alibiSlopes");
        RequireHeads(inputs.Sinks, query.Heads, "sinks");
        nint[] scores = [query.Batch, query.Heads, query.Length, keyLength];
        return (sequences, new AttentionProblem
        {
            Batch = isRagged ? sequences!.Length : query.Batch,
            Heads = query.Heads,
            KeyValueHeads = key.Heads,
            QueryLength = isRagged ? sequences!.Select(sequence => sequence.QueryLength).DefaultIfEmpty().Max() : query.Length,
            KeyLength = isRagged ? sequences!.Select(sequence => sequence.KeyLength).DefaultIfEmpty().Max() : keyLength,
            HeadSize = query.Size,
            ValueHeadSize = value.Size,
            Scale = options.Scale ?? AttentionProblem.DefaultScale(query.Size),
            Element = element,
            Query = query.Layout,
            Key = key.Layout,
            Value = value.Layout,
            Output = output.Layout,
            Sequence = sequences is null ? SequenceTable.Create(options, query.Length, keyLength, past) : default,
            HasSequences = sequences is not null,
            Causal = SequenceTable.KindOf(options.Causal, hasPrefix),
            Window = options.Window is { } window
                ? new WindowSize(
                    Math.Min(window.Left ?? int.MaxValue, WindowRange.Unbounded), Math.Min(window.Right ?? int.MaxValue, WindowRange.Unbounded))
                : null,
            Softcap = options.Softcap ?? 0f,
            HasAlibi = inputs.AlibiSlopes.IsPresent,
            Mask = MaskRules.LayOut(inputs.Mask.Visible, scores),
            Bias = MaskRules.LayOut(inputs.Mask.Bias, scores),
            HasDocuments = HasDocuments(inputs, query, keyLength),
            HasSinks = inputs.Sinks.IsPresent,
        });
    }

    private static bool HasDocuments<T>(in AttentionInputs<T> inputs, HeadTensor query, int keyLength)
        where T : unmanaged
    {
        if (inputs.QueryDocuments.Rank == 0)
        {
            RefuseWhen(inputs.KeyDocuments.Rank != 0, "keyDocuments", "there are no 'queryDocuments'");
            return false;
        }

        ShapeRules.Require(inputs.QueryDocuments.Lengths, [query.Batch, query.Length], "[batch, query length]", "queryDocuments");
        if (inputs.KeyDocuments.Rank != 0)
            ShapeRules.Require(inputs.KeyDocuments.Lengths, [query.Batch, keyLength], "[batch, key length]", "keyDocuments");
        else if (keyLength != query.Length)
            throw BadInput.Because("keyDocuments", "'keyDocuments' must be given where there are not as many keys as queries.");
        return true;
    }

    private static void RequireHeads(in TensorInput<float> tensor, int heads, string name)
    {
        if (tensor.IsPresent)
            ShapeRules.Require(tensor.Lengths, [heads], "[heads]", name);
    }

    private static TensorLayout? LogSumExp<T>(in AttentionOutputs<T> outputs, HeadTensor query, bool isRagged)
        where T : unmanaged
    {
        if (!outputs.LogSumExp.IsPresent)
            return null;
        if (isRagged)
            ShapeRules.Require(outputs.LogSumExp.Lengths, [query.Heads, query.Length], "[heads, tokens]", "logSumExp");
        else
            ShapeRules.Require(outputs.LogSumExp.Lengths, [query.Batch, query.Heads, query.Length], "[batch, heads, query length]", "logSumExp");
        return isRagged ? new TensorLayout(0, query.Length, 1) : TensorLayout.Contiguous(query.Heads, query.Length, 1);
    }

    private static ScoreStage? Scores<T>(in AttentionOutputs<T> outputs, AttentionProblem problem, bool isRagged, string name)
        where T : unmanaged
    {
        if (!Enum.IsDefined(outputs.ScoreStage))
            throw new ArgumentOutOfRangeException(nameof(outputs), outputs.ScoreStage, "'ScoreStage' must be one of its named values.");
        if (!outputs.Scores.IsPresent)
            return null;
        RefuseWhen(isRagged, name, "sequences are ragged");
        RequireScores(
            outputs.Scores.Lengths, outputs.ScoreStage, problem.Batch, problem.Heads, problem.QueryLength, problem.KeyLength, name);
        return outputs.ScoreStage;
    }

    /// <summary>Checks the shape of the tensor that takes scores.</summary>
    public static void RequireScores(
        ReadOnlySpan<nint> scores, ScoreStage stage, int batch, int heads, int queryLength, int keyLength, string name)
    {
        if (stage == ScoreStage.AverageWeights)
            ShapeRules.Require(scores, [batch, queryLength, keyLength], "[batch, query length, key length]", name);
        else
            ShapeRules.Require(scores, [batch, heads, queryLength, keyLength], "[batch, heads, query length, key length]", name);
    }

    private static void CheckPresent<T>(in AttentionOutputs<T> outputs, HeadTensor key, HeadTensor value, int keyLength, bool isRagged)
        where T : unmanaged
    {
        const string axes = "[batch, key/value heads, past and key length, size]";
        RefuseWhen(isRagged && outputs.PresentKey.IsPresent, "presentKey", "sequences are ragged");
        RefuseWhen(isRagged && outputs.PresentValue.IsPresent, "presentValue", "sequences are ragged");
        if (outputs.PresentKey.IsPresent)
            ShapeRules.Require(outputs.PresentKey.Lengths, [key.Batch, key.Heads, keyLength, key.Size], axes, "presentKey");
        if (outputs.PresentValue.IsPresent)
            ShapeRules.Require(outputs.PresentValue.Lengths, [key.Batch, key.Heads, keyLength, value.Size], axes, "presentValue");
    }

    private static int RotarySize<T>(in AttentionInputs<T> inputs, int headSize)
        where T : unmanaged
    {
        if (inputs.QueryNorm.IsPresent)
            ShapeRules.Require(inputs.QueryNorm.Lengths, [headSize], "[head size]", "queryNorm");
        if (inputs.KeyNorm.IsPresent)
            ShapeRules.Require(inputs.KeyNorm.Lengths, [headSize], "[head size]", "keyNorm");
        if (!inputs.RotaryCosine.IsPresent && !inputs.RotarySine.IsPresent)
        {
            RefuseWhen(inputs.QueryPositions.Rank != 0, "queryPositions", "there are no rotary tables");
            RefuseWhen(inputs.KeyPositions.Rank != 0, "keyPositions", "there are no rotary tables");
            return 0;
        }

        ShapeRules.RequireRank(inputs.RotaryCosine.Lengths, 2, "[positions, rotary size / 2]", "rotaryCosine");
        nint half = inputs.RotaryCosine.Lengths[1];
        if (half < 1 || 2 * half > headSize)
            throw ShapeRules.Error(inputs.RotaryCosine.Lengths, $"must have 1 to {headSize / 2} columns, half of the head size {headSize} at most", "rotaryCosine");
        ShapeRules.Require(inputs.RotarySine.Lengths, inputs.RotaryCosine.Lengths, "the shape of 'rotaryCosine'", "rotarySine");
        return 2 * (int)half;
    }

    private static void RefuseWhen(bool refused, string name, string reason)
    {
        if (refused)
            throw BadInput.Because(name, $"'{name}' must be left out where {reason}.");
    }
}
