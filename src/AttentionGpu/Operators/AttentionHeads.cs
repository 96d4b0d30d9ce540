using AttentionGpu.KeyValueCaches;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>
/// Queries, keys, values, past and output of a call as [batch, heads, length, size], with their shapes checked against each other.
/// </summary>
internal readonly struct AttentionHeads
{
    public required HeadTensor Query { get; init; }

    public required HeadTensor Key { get; init; }

    public required HeadTensor Value { get; init; }

    public required HeadTensor Output { get; init; }

    /// <summary>Keys before those of <see cref="Key"/>; of length 0 where there are none.</summary>
    public HeadTensor PastKey { get; init; }

    public HeadTensor PastValue { get; init; }

    /// <summary>Where the past and new keys go; the default value where they are not asked for.</summary>
    public PresentRows PresentKey { get; init; }

    public PresentRows PresentValue { get; init; }

    /// <summary>The step of a cache that keys and values are in; null where they are the call's own.</summary>
    public KeyValueBatchState? Cache { get; init; }

    /// <summary>The layer of the cache.</summary>
    public int CacheLayer { get; init; }

    /// <summary>Whether the call has no queries and no output: it writes rows of the cache.</summary>
    public bool WritesOnly { get; init; }

    /// <summary>Whether the call is planned, and not run.</summary>
    public bool PreparesOnly { get; init; }

    /// <summary>Whether several sequences lie one after another in one batch entry.</summary>
    public bool IsRagged { get; init; }

    /// <summary>
    /// Axes that the call's tensors leave out: 0 for none, 1 for the batch, 2 for batch and heads. The same for all tensors of the call.
    /// </summary>
    public int AxesLeftOut { get; init; }

    public int PastLength => PastKey.Length;

    /// <summary>Keys of the past and new ones.</summary>
    public int TotalKeys => PastKey.Length + Key.Length;

    /// <summary>Reads the tensors of the operator.</summary>
    /// <param name="inputs">The tensors that it reads.</param>
    /// <param name="outputs">The tensors that it writes.</param>
    /// <param name="options">Its options.</param>
    /// <param name="inPlace">Whether strided tensors of the host are used where they are, if their last axis is contiguous.</param>
    /// <exception cref="ArgumentException">A shape is wrong.</exception>
    public static AttentionHeads Read<T>(in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions options, bool inPlace)
        where T : unmanaged
    {
        if (inputs.Cache.IsPresent)
            return CacheRules.Read(inputs, outputs, options, inPlace);
        bool isRagged = !inputs.CumulativeQueryLengths.IsEmpty;
        int? keyHeads = options.KeyValueHeads ?? options.Heads;
        HeadTensor query = Read(inputs.Query, options.Layout, options.Heads, "head size", "query", isRagged, inPlace);
        int leftOut = isRagged || options.Layout != AttentionLayout.BatchHeadsLength ? 0 : 4 - inputs.Query.Lengths.Length;
        if (!isRagged && options.Layout == AttentionLayout.BatchHeadsLength)
        {
            RequireAxesOfQuery(inputs.Query.Lengths, inputs.Key.Lengths, "key");
            RequireAxesOfQuery(inputs.Query.Lengths, inputs.Value.Lengths, "value");
        }

        HeadTensor key = Read(inputs.Key, options.Layout, keyHeads, "head size", "key", isRagged, inPlace);
        HeadTensor value = Read(inputs.Value, options.Layout, keyHeads, "value head size", "value", isRagged, inPlace);
        RequireOptionsOfJoinedHeads(options, inputs.Query.Lengths, inputs.Key.Lengths, inputs.Value.Lengths, isRagged);
        CheckShapes(query, key, value, inputs);
        (HeadTensor pastKey, HeadTensor pastValue) = ReadPast(inputs, key, value, isRagged, leftOut, inPlace);
        return new AttentionHeads
        {
            Query = query,
            Key = key,
            Value = value,
            Output = ReadOutput(inputs, outputs, options, query, value, isRagged, inPlace),
            PastKey = pastKey,
            PastValue = pastValue,
            PresentKey = ReadPresent(outputs.PresentKey, inputs.PastKey, key, pastKey.Length, "presentKey", isRagged, leftOut, inPlace),
            PresentValue = ReadPresent(
                outputs.PresentValue, inputs.PastValue, value, pastKey.Length, "presentValue", isRagged, leftOut, inPlace),
            IsRagged = isRagged,
            AxesLeftOut = leftOut,
        };
    }

    private static void RequireAxesOfQuery(ReadOnlySpan<nint> query, ReadOnlySpan<nint> lengths, string name)
    {
        if (lengths.Length != query.Length)
            throw ShapeRules.Error(lengths, $"must have as many axes as 'query', {ShapeRules.Format(query)}", name);
    }

    /// <summary>Reads a tensor's axes, and strides where they may stay.</summary>
    public static HeadTensor Read<T>(
        in TensorInput<T> tensor, AttentionLayout layout, int? heads, string sizeName, string name, bool isRagged, bool inPlace)
        where T : unmanaged
    {
        ReadOnlySpan<nint> strides = (inPlace || tensor.Device is not null) && tensor.HasContiguousRows ? tensor.Strides : default;
        return isRagged
            ? HeadTensor.ReadRagged(tensor.Lengths, strides, sizeName, name)
            : HeadTensor.Read(tensor.Lengths, strides, layout, heads, sizeName, name);
    }

    /// <summary>Throws for numbers of heads beside an axis of heads: they would be either the same or wrong.</summary>
    public static void RequireOptionsOfJoinedHeads(
        AttentionOptions options, ReadOnlySpan<nint> query, ReadOnlySpan<nint> key, ReadOnlySpan<nint> value, bool isRagged)
    {
        bool isSplit = isRagged || options.Layout == AttentionLayout.BatchHeadsLength;
        string rule = isSplit && !isRagged
            ? "must be left out where 'Layout' is BatchHeadsLength, whose tensors have an axis of heads"
            : "must be left out where tensors have an axis of heads";
        if (options.Heads is int heads && (isSplit || query.Length == 4))
            throw BadInput.OutOfRange("options", heads, $"The option 'Heads' {rule}; 'query' is {ShapeRules.Format(query)}.");
        if (options.KeyValueHeads is int keyHeads && (isSplit || key.Length == 4 || value.Length == 4))
            throw BadInput.OutOfRange("options", keyHeads, $"The option 'KeyValueHeads' {rule}; 'key' is {ShapeRules.Format(key)}.");
    }

    private static void CheckShapes<T>(in HeadTensor query, in HeadTensor key, in HeadTensor value, in AttentionInputs<T> inputs)
        where T : unmanaged
    {
        if (query.Heads == 0)
            throw ShapeRules.Error(inputs.Query.Lengths, "must have at least one head", "query");
        if (query.Size == 0)
            throw ShapeRules.Error(inputs.Query.Lengths, "must have a head size of at least 1", "query");
        if (key.Batch != query.Batch)
            throw ShapeRules.Error(inputs.Key.Lengths, $"must have query's batch, {query.Batch}", "key");
        if (key.Heads == 0 || query.Heads % key.Heads != 0)
            throw ShapeRules.Error(inputs.Key.Lengths, $"must have a number of heads that divides query's {query.Heads}", "key");
        if (key.Size != query.Size)
            throw ShapeRules.Error(inputs.Key.Lengths, $"must have query's head size, {query.Size}", "key");
        if (value.Batch != query.Batch)
            throw ShapeRules.Error(inputs.Value.Lengths, $"must have query's batch, {query.Batch}", "value");
        if (value.Heads != key.Heads)
            throw ShapeRules.Error(inputs.Value.Lengths, $"must have key's heads, {key.Heads}", "value");
        if (value.Length != key.Length)
            throw ShapeRules.Error(inputs.Value.Lengths, $"must have key's length, {key.Length}", "value");
        if (value.Size == 0)
            throw ShapeRules.Error(inputs.Value.Lengths, "must have a value head size of at least 1", "value");
    }

    private static (HeadTensor Key, HeadTensor Value) ReadPast<T>(
        in AttentionInputs<T> inputs, in HeadTensor key, in HeadTensor value, bool isRagged, int leftOut, bool inPlace)
        where T : unmanaged
    {
        const string keyAxes = "[batch, key/value heads, past length, head size]";
        if (!inputs.PastKey.IsPresent && !inputs.PastValue.IsPresent)
            return default;
        const string missing = "'pastKey' and 'pastValue' must be given together; '{0}' is missing.";
        if (!inputs.PastKey.IsPresent)
            throw BadInput.Because("pastKey", string.Format(null, missing, "pastKey"));
        if (!inputs.PastValue.IsPresent)
            throw BadInput.Because("pastValue", string.Format(null, missing, "pastValue"));
        BadInput.RefuseWhen(isRagged, "pastKey", "sequences are ragged");
        BadInput.RefuseWhen(!inputs.KeyLengths.IsEmpty, "pastKey", "there are key lengths");
        ShapeRules.RequireRank(inputs.PastKey.Lengths, 4 - leftOut, ShapeRules.Axes(keyAxes, leftOut), "pastKey");
        int past = (int)inputs.PastKey.Lengths[^2];
        ShapeRules.Require(inputs.PastKey.Lengths, [key.Batch, key.Heads, past, key.Size], keyAxes, "pastKey", leftOut);
        ShapeRules.Require(
            inputs.PastValue.Lengths, [key.Batch, key.Heads, past, value.Size], "[batch, key/value heads, past length, value head size]",
            "pastValue", leftOut);
        if (past > int.MaxValue - key.Length)
            throw ShapeRules.Error(inputs.PastKey.Lengths, $"must leave room for {key.Length} keys below {int.MaxValue}", "pastKey");
        return (
            Read(inputs.PastKey, AttentionLayout.BatchHeadsLength, null, "head size", "pastKey", false, inPlace),
            Read(inputs.PastValue, AttentionLayout.BatchHeadsLength, null, "value head size", "pastValue", false, inPlace));
    }

    // Ragged sequences have no present, which is refused elsewhere.
    private static PresentRows ReadPresent<T>(
        in TensorOutput<T> present, in TensorInput<T> past, in HeadTensor rows, int pastLength, string name, bool isRagged, int leftOut,
        bool inPlace)
        where T : unmanaged
    {
        if (!present.IsPresent || isRagged)
            return default;
        ShapeRules.Require(
            present.Lengths, [rows.Batch, rows.Heads, pastLength + rows.Length, rows.Size],
            "[batch, key/value heads, past and key length, size]", name, leftOut);
        TensorInput<T> tensor = present.AsInput();
        bool continues = TensorOverlap.Continues(present, past);
        return new PresentRows
        {
            IsPresent = true,
            Layout = Read(tensor, AttentionLayout.BatchHeadsLength, null, "size", name, false, inPlace).Layout,
            ContinuesPast = continues,
            HoldsPast = continues && (inPlace || present.Device is not null) && tensor.HasContiguousRows,
        };
    }

    /// <summary>The shape of the output of the operator: the shape of the query, with the values' size.</summary>
    public static nint[] OutputLengths<T>(in AttentionInputs<T> inputs, AttentionOptions options)
        where T : unmanaged
    {
        nint[] expected = inputs.Query.Lengths.ToArray();
        if (expected.Length == 0)
            throw ShapeRules.Error(expected, "must be given", "query");
        if (inputs.Cache.IsPresent)
        {
            expected[^1] = inputs.Cache.State.Cache.Options.ActualValueHeadSize;
            return expected;
        }

        ReadOnlySpan<nint> value = inputs.Value.Lengths;
        if (value.Length == 0)
            throw ShapeRules.Error(value, "must be given", "value");
        bool isJoined = inputs.CumulativeQueryLengths.IsEmpty && expected.Length == 3 && options.Heads is not null
            && options.Layout != AttentionLayout.BatchHeadsLength;
        expected[^1] = isJoined ? value[^1] / (options.KeyValueHeads ?? options.Heads!.Value) * options.Heads!.Value : value[^1];
        return expected;
    }

    private static HeadTensor ReadOutput<T>(
        in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions options, in HeadTensor query, in HeadTensor value,
        bool isRagged, bool inPlace)
        where T : unmanaged
    {
        // The shape of the query, with the values' size.
        ReadOnlySpan<nint> lengths = inputs.Query.Lengths;
        bool isJoined = !isRagged && lengths.Length == 3 && options.Layout != AttentionLayout.BatchHeadsLength;
        Span<nint> expected = stackalloc nint[lengths.Length];
        lengths.CopyTo(expected);
        expected[^1] = isJoined ? (nint)query.Heads * value.Size : value.Size;
        ShapeRules.Require(
            outputs.Output.Lengths, expected, isJoined ? "query's shape with heads x value head size last" : "query's shape with the value head size last",
            "output");
        return Read(outputs.Output.AsInput(), options.Layout, query.Heads, "value head size", "output", isRagged, inPlace);
    }
}
