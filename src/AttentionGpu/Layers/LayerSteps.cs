using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu.Layers;

/// <summary>
/// The projections of a call of a layer: one product for queries, keys and values where they are made from the same tensor, else three;
/// and the one
/// that joins the heads. Between them lie the heads: [batch, heads, length, size] each, or all in one buffer.
/// </summary>
internal readonly struct LayerSteps : IAttentionSteps
{
    private readonly LayerShapes _shapes;
    private readonly MultiHeadAttentionConfig _config;
    private readonly LayerParameters _parameters;
    private readonly ParameterMemory _memory;
    private readonly ElementType _element;
    private readonly bool _batchInvariant;

    public LayerSteps(
        in LayerShapes shapes, MultiHeadAttentionConfig config, LayerParameters parameters, in ParameterMemory memory, ElementType element,
        bool isFused, bool batchInvariant)
    {
        _shapes = shapes;
        _config = config;
        _parameters = parameters;
        _memory = memory;
        _element = element;
        IsFused = isFused;
        _batchInvariant = batchInvariant;
    }

    /// <summary>Whether one product makes queries, keys and values.</summary>
    public bool IsFused { get; }

    public bool TakesStridedRows => false;

    public long IntermediateBytes
    {
        get
        {
            var parts = default(Workspace);
            Take(ref parts);
            return parts.ByteLength;
        }
    }

    private int KeyValueHeads => _config.ActualKeyValueHeads;

    public long WorkspaceBytes(AttentionEngine engine)
    {
        long bytes = engine.WorkspaceBytes(JoinSignature, JoinExtent);
        if (IsFused)
            return Math.Max(bytes, WorkspaceBytes(engine, _parameters.Query, _config.Heads + 2 * KeyValueHeads, _shapes.QueryLength));
        bytes = Math.Max(bytes, WorkspaceBytes(engine, _parameters.Query, _config.Heads, _shapes.QueryLength));
        bytes = Math.Max(bytes, WorkspaceBytes(engine, _parameters.Key, KeyValueHeads, _shapes.KeyLength));
        return Math.Max(bytes, WorkspaceBytes(engine, _parameters.Value, KeyValueHeads, _shapes.KeyLength));
    }

    public void AddTo(ref NewPlans plans)
    {
        Add(ref plans, JoinSignature, JoinExtent);
        if (IsFused)
        {
            Add(ref plans, SplitSignature(_parameters.Query, _config.Heads + 2 * KeyValueHeads),
                SplitExtent(_config.Heads + 2 * KeyValueHeads, _shapes.QueryLength));
            return;
        }

        Add(ref plans, SplitSignature(_parameters.Query, _config.Heads), SplitExtent(_config.Heads, _shapes.QueryLength));
        Add(ref plans, SplitSignature(_parameters.Key, KeyValueHeads), SplitExtent(KeyValueHeads, _shapes.KeyLength));
        Add(ref plans, SplitSignature(_parameters.Value, KeyValueHeads), SplitExtent(KeyValueHeads, _shapes.KeyLength));
    }

    public AttentionBuffers Before(AttentionEngine engine, in AttentionBuffers buffers, DeviceMemory intermediate, DeviceMemory workspace)
    {
        var parts = new Workspace(intermediate);
        (DeviceMemory query, DeviceMemory key, DeviceMemory value, DeviceMemory attended) = Take(ref parts);
        (int queryRows, int keyRows) = (_config.QueryRows, _config.KeyValueRows);
        if (IsFused)
        {
            Project(engine, buffers.Query, _parameters.Query, _memory.Query, 0, 0, _config.Heads + 2 * KeyValueHeads, _shapes.QueryLength, query, workspace);
            if (_shapes.QueryElements != 0)
            {
                // The keys' heads follow the queries' within each batch entry, and the values' the keys'.
                long head = (long)_shapes.QueryLength * _config.ActualHeadSize * _element.Size();
                key = query.Slice<byte>(_config.Heads * head, query.ByteLength - _config.Heads * head);
                value = query.Slice<byte>(
                    (_config.Heads + KeyValueHeads) * head, query.ByteLength - (_config.Heads + KeyValueHeads) * head);
            }
        }
        else
        {
            int keyStart = _parameters.IsJoined ? queryRows : 0;
            int valueStart = _parameters.IsJoined ? queryRows + keyRows : 0;
            Project(engine, buffers.Query, _parameters.Query, _memory.Query, 0, 0, _config.Heads, _shapes.QueryLength, query, workspace);
            Project(engine, buffers.Key, _parameters.Key, _memory.Key, keyStart, queryRows, KeyValueHeads, _shapes.KeyLength, key, workspace);
            Project(
                engine, buffers.Value, _parameters.Value, _memory.Value, valueStart, queryRows + keyRows, KeyValueHeads, _shapes.KeyLength, value,
                workspace);
        }

        return buffers with { Query = query, Key = key, Value = value, Output = attended };
    }

    public void After(AttentionEngine engine, in AttentionBuffers buffers, DeviceMemory intermediate, DeviceMemory workspace)
    {
        var parts = new Workspace(intermediate);
        DeviceMemory attended = Take(ref parts).Attended;
        engine.Execute(
            JoinSignature,
            JoinExtent,
            new LinearBuffers { Input = attended, Weight = _memory.Output, Bias = _memory.OutputBias, Output = buffers.Output },
            workspace);
    }

    private LinearSignature JoinSignature => new()
    {
        Element = _element,
        Columns = _config.EmbeddingSize,
        Depth = _config.QueryRows,
        HasBias = _parameters.OutputBias is not null,
        IsWeightPanelled = _parameters.Output.IsPanelled,
        BatchInvariant = _batchInvariant,
    };

    private LinearExtent JoinExtent => new()
    {
        Rows = _shapes.QueryRows,
        Output = MatrixLayouts.Plain(_shapes.QueryRows, _config.EmbeddingSize),
    };

    private (DeviceMemory Query, DeviceMemory Key, DeviceMemory Value, DeviceMemory Attended) Take(ref Workspace parts)
    {
        long queryBytes = _shapes.QueryElements * _element.Size();
        long keyBytes = _shapes.KeyElements * _element.Size();
        DeviceMemory query = parts.Take(IsFused ? queryBytes + 2 * keyBytes : queryBytes);
        DeviceMemory key = IsFused ? query : parts.Take(keyBytes);
        DeviceMemory value = IsFused ? query : parts.Take(keyBytes);
        return (query, key, value, parts.Take(queryBytes));
    }

    private static void Add(ref NewPlans plans, LinearSignature signature, in LinearExtent extent)
    {
        if (extent.Rows != 0)
            plans.Add<LinearSignature, LinearExtent, LinearBuffers>(signature, extent);
    }

    private long WorkspaceBytes(AttentionEngine engine, Parameter weight, int heads, int length) =>
        engine.WorkspaceBytes(SplitSignature(weight, heads), SplitExtent(heads, length));

    private void Project(
        AttentionEngine engine, DeviceMemory input, Parameter weight, DeviceMemory weightMemory, int firstRow, int firstBias, int heads, int length,
        DeviceMemory output, DeviceMemory workspace)
    {
        LinearSignature signature = SplitSignature(weight, heads);
        engine.Execute(
            signature,
            SplitExtent(heads, length),
            new LinearBuffers
            {
                Input = input,
                Weight = weight.Slice(weightMemory, firstRow, signature.Columns),
                Bias = _parameters.InputBias?.Slice(_memory.InputBias, firstBias, signature.Columns) ?? default,
                Output = output,
            },
            workspace);
    }

    private LinearSignature SplitSignature(Parameter weight, int heads) => new()
    {
        Element = _element,
        Columns = heads * _config.ActualHeadSize,
        Depth = weight.Columns,
        HasBias = _parameters.InputBias is not null,
        IsWeightPanelled = weight.IsPanelled,
        BatchInvariant = _batchInvariant,
    };

    private LinearExtent SplitExtent(int heads, int length) => new()
    {
        Rows = _shapes.Batch * length,
        Output = MatrixLayouts.Heads(_shapes.BatchFirst, _shapes.Batch, heads, length, _config.ActualHeadSize),
    };
}

/// <summary>The memory of a layer's parameters, acquired for a call.</summary>
internal readonly struct ParameterMemory
{
    public DeviceMemory Query { get; init; }

    public DeviceMemory Key { get; init; }

    public DeviceMemory Value { get; init; }

    public DeviceMemory InputBias { get; init; }

    public DeviceMemory Output { get; init; }

    public DeviceMemory OutputBias { get; init; }

    /// <summary>Acquires the parameters' memory; the call releases it.</summary>
    /// <exception cref="ObjectDisposedException">The layer is disposed.</exception>
    public static ParameterMemory Use(ref CallMemory call, LayerParameters parameters, object layer)
    {
        DeviceMemory query = call.Use(parameters.Query.Memory, layer);
        return new ParameterMemory
        {
            Query = query,
            Key = parameters.IsJoined ? query : call.Use(parameters.Key.Memory, layer),
            Value = parameters.IsJoined ? query : call.Use(parameters.Value.Memory, layer),
            InputBias = parameters.InputBias is null ? default : call.Use(parameters.InputBias.Memory, layer),
            Output = call.Use(parameters.Output.Memory, layer),
            OutputBias = parameters.OutputBias is null ? default : call.Use(parameters.OutputBias.Memory, layer),
        };
    }
}
