using AttentionGpu.KeyValueCaches;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>Checks of a call whose keys and values are in a cache.</summary>
internal static class CacheRules
{
    private const string NoRows = "the batch appends no rows";

    /// <summary>Reads the tensors of the operator. Parameters as for that of heads.</summary>
    /// <exception cref="ArgumentException">A shape is wrong, or an argument is to be left out.</exception>
    public static AttentionHeads Read<T>(
        in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions options, bool inPlace)
        where T : unmanaged
    {
        KeyValueBatchState batch = inputs.Cache.State;
        RequireLayer(batch, inputs.CacheLayer);
        KeyValueCacheOptions cache = batch.Cache.Options;
        HeadTensor query = Read(inputs.Query, options, batch, "head size", "query", inPlace);
        AttentionHeads.RequireOptionsOfJoinedHeads(options, inputs.Query.Lengths, default, default, isRagged: true);
        if (query.Heads == 0 || query.Heads % cache.KeyValueHeads != 0)
        {
            throw ShapeRules.Error(
                inputs.Query.Lengths, $"must have a multiple of the cache's {cache.KeyValueHeads} key/value heads", "query");
        }

        if (query.Size != cache.HeadSize)
            throw ShapeRules.Error(inputs.Query.Lengths, $"must have the cache's head size, {cache.HeadSize}", "query");
        BadInput.RefuseWhen(inputs.KeyNorm.IsPresent && !batch.Appends, "keyNorm", NoRows);
        (HeadTensor key, HeadTensor value) = ReadRows(inputs, options, batch, inPlace);
        ShapeRules.Require(
            outputs.Output.Lengths, [batch.Tokens, query.Heads, cache.ActualValueHeadSize],
            "[tokens of the batch, heads, value head size of the cache]", "output");
        return new AttentionHeads
        {
            Query = query,
            Key = key,
            Value = value,
            Output = AttentionHeads.Read(outputs.Output.AsInput(), options.Layout, null, "value head size", "output", true, inPlace),
            Cache = batch,
            CacheLayer = inputs.CacheLayer,
            IsRagged = true,
        };
    }

    /// <summary>Reads the tensors of a call without queries, which writes rows. Parameters as for that of heads.</summary>
    /// <exception cref="ArgumentException">A shape is wrong, or the batch appends no rows.</exception>
    public static AttentionHeads ReadRows<T>(in AttentionInputs<T> inputs, bool inPlace)
        where T : unmanaged
    {
        KeyValueBatchState batch = inputs.Cache.State;
        RequireLayer(batch, inputs.CacheLayer);
        RequireAppends(batch);
        (HeadTensor key, HeadTensor value) = ReadRows(inputs, AttentionOptions.Default, batch, inPlace);
        return new AttentionHeads
        {
            Query = key with { Length = 0 },
            Key = key,
            Value = value,
            Output = value with { Length = 0 },
            Cache = batch,
            CacheLayer = inputs.CacheLayer,
            WritesOnly = true,
            IsRagged = true,
        };
    }

    /// <summary>Checks what a call with a cache must leave out, and that it attends as the cache keeps rows.</summary>
    public static void Require<T>(in AttentionHeads heads, in AttentionInputs<T> inputs, AttentionOptions options, AttentionNames names)
        where T : unmanaged
    {
        const string reason = "the call has a cache, whose batch has the lengths";
        BadInput.RefuseWhen(!inputs.CumulativeQueryLengths.IsEmpty, names.CumulativeQueryLengths, reason);
        BadInput.RefuseWhen(!inputs.CumulativeKeyLengths.IsEmpty, "cumulativeKeyLengths", reason);
        BadInput.RefuseWhen(!inputs.KeyLengths.IsEmpty, "keyLengths", reason);
        BadInput.RefuseWhen(inputs.PastKey.IsPresent, "pastKey", reason);
        BadInput.RefuseWhen(inputs.PastValue.IsPresent, "pastValue", reason);
        KeyValueBatchState batch = heads.Cache!;
        BadInput.RefuseWhen(inputs.KeyPositions.Rank != 0 && !batch.Appends, "keyPositions", NoRows);
        if (heads.WritesOnly)
            return;
        if (batch.Tree.Exists)
            RefuseByDistance(inputs, options);
        if (batch.Cache.Options.Window is not int window)
            return;
        if (options.Window?.Left is not int left || left >= window)
        {
            throw BadInput.OutOfRange(
                "options", options.Window?.Left,
                $"The option 'Window.Left' must be at most {window - 1}, since the cache keeps the keys of a window of {window}.");
        }

        RequireResidentWindows(batch, left);
    }

    // The rows of a tree do not lie at their positions.
    private static void RefuseByDistance<T>(in AttentionInputs<T> inputs, AttentionOptions options)
        where T : unmanaged
    {
        const string reason = "the tokens of the cache's batch form a tree";
        if (options.Window is not null)
            throw BadInput.OutOfRange("options", options.Window, $"The option 'Window' must be left out where {reason}.");
        BadInput.RefuseWhen(inputs.AlibiSlopes.IsPresent, "alibiSlopes", reason);
        BadInput.RefuseWhen(inputs.DistanceBias.IsPresent, "distanceBias", reason);
    }

    // The first query sees so many keys before it, which the cache must have kept.
    private static void RequireResidentWindows(KeyValueBatchState batch, int left)
    {
        for (int i = 0; i < batch.Sequences.Length; i++)
        {
            KeyValueSequence sequence = batch.Sequences[i];
            int queries = batch.Starts[i + 1] - batch.Starts[i];
            if (queries > 0 && sequence.Dropped > 0 && sequence.ResidentLength - queries < left)
            {
                throw BadInput.Because(
                    "query",
                    $"'query' must have at most {sequence.ResidentLength - left} tokens of sequence {i}, which has {queries}: "
                    + "their windows reach to rows that the cache has dropped.");
            }
        }
    }

    /// <summary>Checks the layer of a call.</summary>
    public static void RequireLayer(KeyValueBatchState batch, int layer)
    {
        int layers = batch.Cache.Options.Layers;
        if (layer < 0 || layer >= layers)
            throw BadInput.OutOfRange("cacheLayer", layer, $"'cacheLayer' must be 0 to {layers - 1}, a layer of the cache; it is {layer}.");
        if (batch.Appends && batch.Tokens > 0 && batch.IsWritten(layer))
            throw new InvalidOperationException($"Layer {layer} of the cache's batch is written already: a batch writes each layer once.");
    }

    /// <summary>Checks that rows can be written.</summary>
    public static void RequireAppends(KeyValueBatchState batch)
    {
        if (!batch.Appends)
        {
            throw BadInput.Because(
                "cache",
                $"'cache' must be a batch of '{nameof(KeyValueCache.Append)}'; "
                + $"it is one of '{nameof(KeyValueCache.Read)}', which writes nothing.");
        }
    }

    /// <summary>Throws for new rows where the batch appends none.</summary>
    public static void RefuseRows<T>(in TensorInput<T> key, in TensorInput<T> value, KeyValueBatchState batch)
        where T : unmanaged
    {
        BadInput.RefuseWhen(!batch.Appends && key.IsPresent, "key", NoRows);
        BadInput.RefuseWhen(!batch.Appends && value.IsPresent, "value", NoRows);
    }

    // New keys and values; without rows where the batch does not append.
    private static (HeadTensor Key, HeadTensor Value) ReadRows<T>(
        in AttentionInputs<T> inputs, AttentionOptions options, KeyValueBatchState batch, bool inPlace)
        where T : unmanaged
    {
        KeyValueCacheOptions cache = batch.Cache.Options;
        RefuseRows(inputs.Key, inputs.Value, batch);
        BadInput.RefuseWhen(cache.ValuesInKeys && inputs.Value.IsPresent, "value", "the cache has values in keys");
        var key = new HeadTensor(1, cache.KeyValueHeads, 0, cache.HeadSize, default);
        HeadTensor value = key with { Size = cache.ActualValueHeadSize };
        if (!batch.Appends)
            return (key, value);
        ShapeRules.Require(
            inputs.Key.Lengths, [batch.Tokens, cache.KeyValueHeads, cache.HeadSize],
            "[tokens of the batch, key/value heads of the cache, head size]", "key");
        key = Read(inputs.Key, options, batch, "head size", "key", inPlace);
        if (cache.ValuesInKeys)
            return (key, value);
        ShapeRules.Require(
            inputs.Value.Lengths, [batch.Tokens, cache.KeyValueHeads, cache.ActualValueHeadSize],
            "[tokens of the batch, key/value heads of the cache, value head size]", "value");
        return (key, Read(inputs.Value, options, batch, "value head size", "value", inPlace));
    }

    private static HeadTensor Read<T>(
        in TensorInput<T> tensor, AttentionOptions options, KeyValueBatchState batch, string sizeName, string name, bool inPlace)
        where T : unmanaged
    {
        HeadTensor rows = AttentionHeads.Read(tensor, options.Layout, null, sizeName, name, isRagged: true, inPlace);
        return rows.Length == batch.Tokens
            ? rows
            : throw ShapeRules.Error(tensor.Lengths, $"must have the {batch.Tokens} tokens of the cache's batch", name);
    }
}
