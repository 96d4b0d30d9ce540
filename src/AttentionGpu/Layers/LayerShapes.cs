using AttentionGpu.Operators;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu.Layers;

/// <summary>The sizes of a call of a layer, with the shapes of its tensors checked.</summary>
internal readonly struct LayerShapes
{
    private readonly MultiHeadAttentionConfig _config;

    /// <summary>Whether rows are in the order of (batch, position).</summary>
    public bool BatchFirst { get; }

    public bool IsRagged { get; }

    /// <summary>Whether tensors leave out the batch: [length, size] of one batch entry.</summary>
    public bool IsUnbatched { get; }

    /// <summary>Batch entries; 1 for all ragged sequences together.</summary>
    public int Batch { get; }

    public int QueryLength { get; }

    public int KeyLength { get; }

    /// <exception cref="ArgumentException">A shape is wrong.</exception>
    public LayerShapes(
        MultiHeadAttentionConfig config, bool isRagged, string queryName, scoped ReadOnlySpan<nint> query, scoped ReadOnlySpan<nint> key,
        scoped ReadOnlySpan<nint> value, ReadOnlySpan<nint> output)
    {
        _config = config;
        IsRagged = isRagged;
        IsUnbatched = !isRagged && query.Length == 2;
        bool isOneEntry = isRagged || IsUnbatched;
        BatchFirst = config.BatchFirst || isOneEntry;
        int batchAxis = BatchFirst ? 0 : 1;
        Span<nint> oneQuery = [1, 0, 0];
        Span<nint> oneKey = [1, 0, 0];
        Span<nint> oneValue = [1, 0, 0];
        if (isOneEntry)
        {
            // Ragged sequences are one batch entry of all tokens, as far as the projections go.
            query = OneEntry(query, oneQuery, "embedding size", isRagged, null, queryName);
            key = OneEntry(key, oneKey, "key size", isRagged, queryName, "key");
            value = OneEntry(value, oneValue, "value size", isRagged, queryName, "value");
            string axes = isRagged ? "[tokens, embedding size]" : "[length, embedding size]";
            ShapeRules.RequireRank(output, 2, axes, "output");
            ShapeRules.Require(output, query[1..], axes, "output");
        }

        RequireInput(query, "embedding size", config.EmbeddingSize, queryName);
        RequireInput(key, "key size", config.ActualKeySize, "key");
        RequireInput(value, "value size", config.ActualValueSize, "value");
        Batch = (int)query[batchAxis];
        QueryLength = (int)query[1 - batchAxis];
        KeyLength = (int)key[1 - batchAxis];
        ShapeRules.RequireAxis(key, batchAxis, Batch, "the batch, as in query", "key");
        ShapeRules.RequireAxis(value, batchAxis, Batch, "the batch, as in query", "value");
        ShapeRules.RequireAxis(value, 1 - batchAxis, KeyLength, "the length, as in key", "value");
        if (!isOneEntry && !output.SequenceEqual(query))
            ShapeRules.Require(output, query, $"[{(BatchFirst ? "batch, length" : "length, batch")}, embedding size]", "output");
        RequireRows(Batch, QueryLength, query, queryName);
        RequireRows(Batch, KeyLength, key, "key");
    }

    public int QueryRows => Batch * QueryLength;

    public int KeyRows => Batch * KeyLength;

    /// <summary>Elements of the queries, and of the heads' outputs, joined.</summary>
    public long QueryElements => (long)QueryRows * _config.QueryRows;

    /// <summary>Elements of the keys, and of the values.</summary>
    public long KeyElements => (long)KeyRows * _config.KeyValueRows;

    /// <summary>Queries, keys, values and output of attention in the layer's memory between the steps.</summary>
    /// <param name="isFused">Whether queries, keys and values are in one buffer: [batch, all heads, length, size].</param>
    public AttentionHeads Heads(bool isFused)
    {
        int size = _config.ActualHeadSize;
        int heads = _config.Heads;
        int keyValueHeads = _config.ActualKeyValueHeads;
        HeadTensor query = Tensor(heads, isFused ? heads + 2 * keyValueHeads : heads, QueryLength, size);
        HeadTensor key = Tensor(keyValueHeads, isFused ? heads + 2 * keyValueHeads : keyValueHeads, KeyLength, size);
        long row = _config.QueryRows;
        TensorLayout output = IsRagged ? new TensorLayout(0, size, row)
            : BatchFirst ? new TensorLayout(QueryLength * row, size, row)
            : new TensorLayout(row, size, Batch * row);
        return new AttentionHeads
        {
            Query = query,
            Key = key,
            Value = key,
            Output = new HeadTensor(Batch, heads, QueryLength, size, output),
            IsRagged = IsRagged,
            AxesLeftOut = IsUnbatched ? 1 : 0,
        };
    }

    private HeadTensor Tensor(int heads, int bufferHeads, int length, int size)
    {
        TensorLayout layout = TensorLayout.Contiguous(bufferHeads, length, size);
        return new HeadTensor(Batch, heads, length, size, IsRagged ? layout with { BatchStride = 0 } : layout);
    }

    // Messages are made where they are thrown: a step allocates nothing.
    private static ReadOnlySpan<nint> OneEntry(
        ReadOnlySpan<nint> lengths, Span<nint> batched, string size, bool isRagged, string? queryName, string name)
    {
        if (lengths.Length != 2)
        {
            string besideQuery = isRagged || queryName is null ? "" : $", as '{queryName}' has no axis of the batch";
            throw ShapeRules.Error(lengths, $"must be [{(isRagged ? "tokens" : "length")}, {size}]{besideQuery}", name);
        }

        lengths.CopyTo(batched[1..]);
        return batched;
    }

    private void RequireInput(ReadOnlySpan<nint> lengths, string sizeName, int size, string name)
    {
        if (lengths.Length != 3)
        {
            throw ShapeRules.Error(
                lengths, $"must be [{(BatchFirst ? "batch, length" : "length, batch")}, {sizeName}] or [length, {sizeName}]", name);
        }

        ShapeRules.RequireCounts(lengths, name);
        if (lengths[2] != size)
            ShapeRules.RequireAxis(lengths, 2, size, $"the layer's {sizeName}", name);
    }

    private static void RequireRows(int batch, int length, ReadOnlySpan<nint> lengths, string name)
    {
        if ((long)batch * length > int.MaxValue)
            throw ShapeRules.Error(lengths, $"must have at most {int.MaxValue} rows", name);
    }
}
