using System.Numerics.Tensors;
using AttentionGpu.Elements;
using AttentionGpu.Memory;

namespace AttentionGpu.Layers;

/// <summary>The parameters of a layer on its engine's device.</summary>
internal sealed class LayerParameters : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    /// <exception cref="AttentionMemoryException">There is not enough memory; none is kept.</exception>
    public LayerParameters(AttentionEngine engine, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights, ElementType element)
    {
        try
        {
            IsJoined = config.ActualKeySize == config.EmbeddingSize && config.ActualValueSize == config.EmbeddingSize;
            if (IsJoined)
            {
                // One matrix, for calls where all three read the same input.
                Query = Key = Value = Own(engine.CreateParameter(element, weights.Query, weights.Key, weights.Value));
            }
            else
            {
                Query = Own(engine.CreateParameter(element, weights.Query));
                Key = Own(engine.CreateParameter(element, weights.Key));
                Value = Own(engine.CreateParameter(element, weights.Value));
            }

            if (weights.QueryBias is not null || weights.KeyBias is not null || weights.ValueBias is not null)
            {
                InputBias = Own(engine.CreateParameter(
                    element,
                    weights.QueryBias ?? Tensor.CreateFromShape<float>([config.QueryRows]),
                    weights.KeyBias ?? Tensor.CreateFromShape<float>([config.KeyValueRows]),
                    weights.ValueBias ?? Tensor.CreateFromShape<float>([config.KeyValueRows])));
            }

            Output = Own(engine.CreateParameter(element, weights.Output));
            OutputBias = weights.OutputBias is null ? null : Own(engine.CreateParameter(element, weights.OutputBias));
            ExtraKey = Heads(engine, config, weights.ExtraKey, element);
            ExtraValue = Heads(engine, config, weights.ExtraValue, element);
            QueryNorm = Vector(engine, weights.QueryNorm);
            KeyNorm = Vector(engine, weights.KeyNorm);
            Sinks = Vector(engine, weights.Sinks);
            AlibiSlopes = Vector(engine, weights.AlibiSlopes);
            DistanceBias = Vector(engine, weights.DistanceBias);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Whether queries', keys' and values' weights are one matrix, one below the other.</summary>
    public bool IsJoined { get; }

    public Parameter Query { get; }

    public Parameter Key { get; }

    public Parameter Value { get; }

    /// <summary>The biases of queries, keys and values, one after the other; null for none.</summary>
    public Parameter? InputBias { get; }

    public Parameter Output { get; }

    public Parameter? OutputBias { get; }

    /// <summary>[key/value heads, head size], of the layer's element type.</summary>
    public DeviceTensor? ExtraKey { get; }

    /// <summary>The same for its value.</summary>
    public DeviceTensor? ExtraValue { get; }

    public DeviceTensor<float>? QueryNorm { get; }

    public DeviceTensor<float>? KeyNorm { get; }

    public DeviceTensor<float>? Sinks { get; }

    public DeviceTensor<float>? AlibiSlopes { get; }

    public DeviceTensor<float>? DistanceBias { get; }

    public void Dispose()
    {
        foreach (IDisposable parameter in _owned)
            parameter.Dispose();
    }

    private T Own<T>(T parameter)
        where T : IDisposable
    {
        _owned.Add(parameter);
        return parameter;
    }

    // Rows of heads in the layer's element type, as a tensor that the operator takes.
    private DeviceTensor? Heads(AttentionEngine engine, MultiHeadAttentionConfig config, Tensor<float>? values, ElementType element)
    {
        if (values is null)
            return null;
        ReadOnlySpan<nint> lengths = [config.ActualKeyValueHeads, config.ActualHeadSize];
        SharedMemory memory = engine.CreateParameter(element, values).Memory;
        return Own<DeviceTensor>(element switch
        {
            ElementType.Float32 => new DeviceTensor<float>(memory, lengths),
            ElementType.Float16 => new DeviceTensor<Half>(memory, lengths),
            ElementType.BFloat16 => new DeviceTensor<BFloat16>(memory, lengths),
            _ => throw ElementTypes.Unknown(element),
        });
    }

    // Numbers that kernels read in float32, whatever the element type.
    private DeviceTensor<float>? Vector(AttentionEngine engine, Tensor<float>? values) =>
        values is null ? null : Own(engine.CreateTensor(values.AsReadOnlyTensorSpan()));
}
