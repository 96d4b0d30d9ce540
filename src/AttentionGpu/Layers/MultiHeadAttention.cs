using System.Numerics.Tensors;
using AttentionGpu.Layers;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Serialization;

namespace AttentionGpu;

/// <summary>
/// A multi-head attention layer: projects its inputs to queries, keys and values, attends in every head, joins the heads and projects out.
/// PyTorch's <c>nn.MultiheadAttention</c>, with grouped-query heads (Ainslie and others, 2023) besides. No positions are added: rotary or
/// other embeddings of a checkpoint are the caller's. Its parameters live on the engine's device. May be called from many threads at once.
/// </summary>
/// <remarks>
/// Masks: a boolean <see cref="AttentionMask"/> is true where a key is visible (<c>nn.MultiheadAttention</c> means the opposite); a key
/// padding mask is true where a key is padding (as there). A query that sees no key attends to nothing: its output is the output bias.
/// </remarks>
public sealed partial class MultiHeadAttention : IDisposable
{
    private readonly AttentionEngine _engine;
    private readonly DeviceMemory _inputWeights;
    private readonly DeviceMemory _inputBiases;
    private readonly DeviceMemory _outputWeight;
    private readonly DeviceMemory _outputBias;
    private readonly LayerParameters _parameters;
    private int _disposed;

    /// <summary>A layer with given parameters, which are copied to the engine's device.</summary>
    /// <param name="engine">Runs the layer; it must outlive it.</param>
    /// <param name="config">The layer's sizes.</param>
    /// <param name="weights">The parameters; their shapes must fit the sizes.</param>
    /// <exception cref="ArgumentException">A size or shape is wrong.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public MultiHeadAttention(AttentionEngine engine, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
    {
        ArgumentNullException.ThrowIfNull(engine);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(weights);
        engine.ThrowIfDisposed();
        config.Validate();
        weights.Validate(config);
        _engine = engine;
        Config = config;

        // One after the other in one buffer: where all three read the same input, they are one matrix.
        _inputWeights = Upload(weights.Query, weights.Key, weights.Value);
        _parameters = new LayerParameters(
            HasInputBias: weights.QueryBias is not null || weights.KeyBias is not null || weights.ValueBias is not null,
            HasOutputBias: weights.OutputBias is not null,
            IsInputPanelled: CanPanel(config.QueryRows) && CanPanel(config.KeyValueRows),
            IsOutputPanelled: CanPanel(config.EmbeddingSize));
        if (_parameters.IsInputPanelled)
        {
            Pack(_inputWeights, 0, config.QueryRows, config.EmbeddingSize);
            Pack(_inputWeights, KeyStart, config.KeyValueRows, config.ActualKeySize);
            Pack(_inputWeights, ValueStart, config.KeyValueRows, config.ActualValueSize);
        }

        if (_parameters.HasInputBias)
        {
            _inputBiases = Upload(
                weights.QueryBias ?? Tensor.CreateFromShape<float>([config.QueryRows]),
                weights.KeyBias ?? Tensor.CreateFromShape<float>([config.KeyValueRows]),
                weights.ValueBias ?? Tensor.CreateFromShape<float>([config.KeyValueRows]));
        }

        _outputWeight = Upload(weights.Output);
        if (_parameters.IsOutputPanelled)
            Pack(_outputWeight, 0, config.EmbeddingSize, config.QueryRows);
        if (weights.OutputBias is not null)
            _outputBias = Upload(weights.OutputBias);
    }

    /// <summary>
    /// Loads one layer of a checkpoint in the safetensors format (F32, F16, BF16). It finds PyTorch's names (<c>in_proj_weight</c>, or
    /// <c>q_proj_weight</c>, <c>k_proj_weight</c>, <c>v_proj_weight</c>; with <c>in_proj_bias</c>, <c>out_proj.weight</c> and <c>out_proj.bias</c>), and
    /// those of separate layers (<c>q_proj.weight</c> and so on, with <c>out_proj</c> or <c>o_proj</c>). Sizes come from the shapes.
    /// </summary>
    /// <param name="engine">Runs the layer; it must outlive it.</param>
    /// <param name="path">The file.</param>
    /// <param name="heads">Query heads.</param>
    /// <param name="keyValueHeads">Key/value heads; null to tell them from the shapes (joined weights: as many as query heads).</param>
    /// <param name="prefix">What stands before the names, such as <c>model.layers.0.self_attn</c>; with or without the final dot.</param>
    /// <param name="batchFirst">Whether tensors are [batch, length, size] rather than [length, batch, size].</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is malformed, lacks a tensor, or its shapes fit no layer with these heads.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number of heads is less than 1.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public static MultiHeadAttention Load(
        AttentionEngine engine, string path, int heads, int? keyValueHeads = null, string? prefix = null, bool batchFirst = true)
    {
        ArgumentNullException.ThrowIfNull(engine);
        engine.ThrowIfDisposed();
        using SafetensorsFile file = SafetensorsFile.Open(path);
        (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) =
            new WeightLoader(file, prefix).Load(heads, keyValueHeads, batchFirst);
        return new MultiHeadAttention(engine, config, weights);
    }

    /// <summary>The layer's sizes.</summary>
    public MultiHeadAttentionConfig Config { get; }

    private long KeyStart => (long)Config.QueryRows * Config.EmbeddingSize;

    private long ValueStart => KeyStart + (long)Config.KeyValueRows * Config.ActualKeySize;

    /// <summary>Gives the parameters' memory back to the engine.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        foreach (DeviceMemory memory in new[] { _inputWeights, _inputBiases, _outputWeight, _outputBias })
            _engine.Backend.Return(memory);
    }

    private void ThrowIfDisposed()
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        _engine.ThrowIfDisposed();
    }

    private DeviceMemory Upload(params ReadOnlySpan<Tensor<float>> tensors)
    {
        long count = 0;
        foreach (Tensor<float> tensor in tensors)
            count += tensor.FlattenedLength;
        DeviceMemory memory = _engine.Backend.Rent(count * sizeof(float));
        long start = 0;
        foreach (Tensor<float> tensor in tensors)
        {
            HostCopy.Upload(_engine.Backend, tensor.AsReadOnlyTensorSpan(), memory.Slice<float>(start, tensor.FlattenedLength));
            start += tensor.FlattenedLength;
        }

        return memory;
    }

    // Without a remainder a panelled weight's parts are panelled weights too: queries', keys' and values' together or each by itself.
    private bool CanPanel(int rows) => _engine.Backend.WeightPanelRows > 0 && rows % _engine.Backend.WeightPanelRows == 0;

    private void Pack(DeviceMemory weights, long start, int rows, int depth) =>
        _engine.Backend.PanelWeight(weights.Slice<float>(start, (long)rows * depth), rows, depth);

    private void Run(LayerProblem problem, in AttentionBuffers inputs)
    {
        long queryBuffer = problem.Fused ? problem.QueryCount + 2 * problem.KeyCount : problem.QueryCount;
        DeviceMemory query = _engine.Backend.Rent(queryBuffer * sizeof(float));
        DeviceMemory key = problem.Fused ? default : _engine.Backend.Rent(problem.KeyCount * sizeof(float));
        DeviceMemory value = problem.Fused ? default : _engine.Backend.Rent(problem.KeyCount * sizeof(float));
        DeviceMemory attended = _engine.Backend.Rent(problem.QueryCount * sizeof(float));
        try
        {
            Project(problem.QueryProjection, inputs.Query, 0, 0, query);
            if (problem is { KeyProjection: { } keyProjection, ValueProjection: { } valueProjection })
            {
                Project(keyProjection, inputs.Key, KeyStart, Config.QueryRows, key);
                Project(valueProjection, inputs.Value, ValueStart, Config.QueryRows + Config.KeyValueRows, value);
            }

            _engine.Execute(problem.Attention, new AttentionBuffers
            {
                Query = query,
                Key = problem.Fused ? HeadsFrom(problem, query, Config.Heads) : key,
                Value = problem.Fused ? HeadsFrom(problem, query, Config.Heads + Config.ActualKeyValueHeads) : value,
                Output = attended,
                Mask = inputs.Mask,
                Bias = inputs.Bias,
                KeyPadding = inputs.KeyPadding,
                Sequences = inputs.Sequences,
                Scores = inputs.Scores,
            });
            _engine.Execute(problem.OutputProjection, new LinearBuffers
            {
                Input = attended,
                Weight = _outputWeight,
                Bias = _outputBias,
                Output = inputs.Output,
            });
        }
        finally
        {
            foreach (DeviceMemory memory in (ReadOnlySpan<DeviceMemory>)[query, key, value, attended])
                _engine.Backend.Return(memory);
        }
    }

    private void Project(LinearProblem projection, DeviceMemory input, long weightStart, int biasStart, DeviceMemory output) =>
        _engine.Execute(projection, new LinearBuffers
        {
            Input = input,
            Weight = _inputWeights.Slice<float>(weightStart, (long)projection.Columns * projection.Depth),
            Bias = _parameters.HasInputBias ? _inputBiases.Slice<float>(biasStart, projection.Columns) : default,
            Output = output,
        });

    // In the fused buffer the keys' heads follow the queries', and the values' the keys', within each batch entry.
    private static DeviceMemory HeadsFrom(LayerProblem problem, DeviceMemory fused, int head)
    {
        if (problem.Attention.IsEmpty)
            return fused;
        long start = head * problem.Attention.Query.HeadStride;
        return fused.Slice<float>(start, fused.ByteLength / sizeof(float) - start);
    }
}
