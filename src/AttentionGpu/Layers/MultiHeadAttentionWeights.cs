using System.Numerics.Tensors;
using AttentionGpu.Layers;
using AttentionGpu.Operators;
using AttentionGpu.Serialization;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>The parameters of a <see cref="MultiHeadAttention"/> layer, in host memory. Each bias may be left out.</summary>
public sealed class MultiHeadAttentionWeights
{
    /// <summary>Makes queries: [heads x head size, embedding size].</summary>
    public required Tensor<float> Query { get; init; }

    /// <summary>Makes keys: [key/value heads x head size, key size].</summary>
    public required Tensor<float> Key { get; init; }

    /// <summary>Makes values: [key/value heads x head size, value size].</summary>
    public required Tensor<float> Value { get; init; }

    /// <summary>Joins the heads: [embedding size, heads x head size].</summary>
    public required Tensor<float> Output { get; init; }

    /// <summary>[heads x head size].</summary>
    public Tensor<float>? QueryBias { get; init; }

    /// <summary>[key/value heads x head size].</summary>
    public Tensor<float>? KeyBias { get; init; }

    /// <summary>[key/value heads x head size].</summary>
    public Tensor<float>? ValueBias { get; init; }

    /// <summary>[embedding size].</summary>
    public Tensor<float>? OutputBias { get; init; }

    /// <summary>
    /// [key/value heads x head size]: a key that every query sees beside the others, whatever hides those: PyTorch's <c>bias_k</c>, flat.
    /// It is not normalised or rotated, and nothing but soft capping changes its score. Attention weights have a column for it behind the
    /// keys.
    /// </summary>
    public Tensor<float>? ExtraKey { get; init; }

    /// <summary>[key/value heads x head size]: the value of <see cref="ExtraKey"/>, PyTorch's <c>bias_v</c>, flat.</summary>
    public Tensor<float>? ExtraValue { get; init; }

    /// <summary>
    /// [head size]: queries are divided by their root mean square and multiplied by this, before they are rotated (Qwen3).
    /// </summary>
    public Tensor<float>? QueryNorm { get; init; }

    /// <summary>[head size]: the same for keys.</summary>
    public Tensor<float>? KeyNorm { get; init; }

    /// <summary>[heads]: a logit of each query head that takes part in each softmax and has no value (gpt-oss).</summary>
    public Tensor<float>? Sinks { get; init; }

    /// <summary>[heads]: by how much a step away from the query lowers a score: ALiBi (Press and others, 2022).</summary>
    public Tensor<float>? AlibiSlopes { get; init; }

    /// <summary>
    /// [heads, 2 x reach + 1]: added to a score by the distance from the query to the key, from reach places before it to reach places
    /// behind: <see cref="AttentionInputs{T}.DistanceBias"/>, the relative position bias of T5 (Raffel and others, 2020).
    /// </summary>
    public Tensor<float>? DistanceBias { get; init; }

    /// <summary>
    /// The element type that the matrices had in the file that they were read from: float, <see cref="Half"/> or
    /// <see cref="BFloat16"/>; float where they differed, were doubles or were not read.
    /// </summary>
    public Type StoredType { get; internal init; } = typeof(float);

    /// <summary>
    /// Reads the parameters of one layer of a checkpoint, in float32 whatever the file has, with the sizes that its shapes tell and what
    /// the options or <c>config.json</c> say besides. Names of parameters, and what must be stated, as for
    /// <see cref="MultiHeadAttention.Load"/>.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="heads">Query heads; null for those that <c>config.json</c> in the folder of the file names.</param>
    /// <param name="keyValueHeads">Key/value heads; null to tell them from the shapes.</param>
    /// <param name="prefix">What stands before the names; with or without the final dot.</param>
    /// <param name="batchFirst">Whether tensors are [batch, length, size] rather than [length, batch, size].</param>
    /// <param name="options">What the file does not tell: positions, window and the like; null for what <c>config.json</c> says.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is malformed or no safetensors file, lacks a tensor, has one that the layer would ignore, or its shapes fit no layer with
    /// these heads; or <c>config.json</c> is malformed, contradicts them, or asks for more than a layer does.
    /// </exception>
    /// <exception cref="ArgumentException">
    /// The positions of separate layers or the heads are not stated, or an option contradicts the file or another option.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">A number of heads is less than 1.</exception>
    public static (MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights) Load(
        string path, int? heads = null, int? keyValueHeads = null, string? prefix = null, bool batchFirst = true,
        MultiHeadAttentionLoadOptions? options = null)
    {
        using Checkpoint file = Checkpoint.OpenFile(path);
        return new WeightLoader(file, prefix, options ?? MultiHeadAttentionLoadOptions.Default).Load(heads, keyValueHeads, batchFirst);
    }

    /// <summary>
    /// Random parameters from a seed: uniform with Glorot's bound sqrt(6 / (rows + columns)), biases zero, as
    /// <c>nn.MultiheadAttention</c> starts out. The same on every machine.
    /// </summary>
    /// <param name="config">The layer's sizes.</param>
    /// <param name="seed">Any number.</param>
    /// <param name="bias">Whether there are biases.</param>
    /// <exception cref="ArgumentException">A size is wrong.</exception>
    public static MultiHeadAttentionWeights Random(MultiHeadAttentionConfig config, int seed, bool bias = true)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        var random = new Random(seed);
        return new MultiHeadAttentionWeights
        {
            Query = Glorot(random, config.QueryRows, config.EmbeddingSize),
            Key = Glorot(random, config.KeyValueRows, config.ActualKeySize),
            Value = Glorot(random, config.KeyValueRows, config.ActualValueSize),
            Output = Glorot(random, config.EmbeddingSize, config.QueryRows),
            QueryBias = bias ? Tensor.CreateFromShape<float>([config.QueryRows]) : null,
            KeyBias = bias ? Tensor.CreateFromShape<float>([config.KeyValueRows]) : null,
            ValueBias = bias ? Tensor.CreateFromShape<float>([config.KeyValueRows]) : null,
            OutputBias = bias ? Tensor.CreateFromShape<float>([config.EmbeddingSize]) : null,
        };
    }

    /// <summary>Checks every shape against the layer's sizes.</summary>
    internal void Validate(MultiHeadAttentionConfig config)
    {
        Require(Query, [config.QueryRows, config.EmbeddingSize], "[heads x head size, embedding size]", nameof(Query));
        Require(Key, [config.KeyValueRows, config.ActualKeySize], "[key/value heads x head size, key size]", nameof(Key));
        Require(Value, [config.KeyValueRows, config.ActualValueSize], "[key/value heads x head size, value size]", nameof(Value));
        Require(Output, [config.EmbeddingSize, config.QueryRows], "[embedding size, heads x head size]", nameof(Output));
        RequireBias(QueryBias, config.QueryRows, nameof(QueryBias));
        RequireBias(KeyBias, config.KeyValueRows, nameof(KeyBias));
        RequireBias(ValueBias, config.KeyValueRows, nameof(ValueBias));
        RequireBias(OutputBias, config.EmbeddingSize, nameof(OutputBias));
        RequireVector(ExtraKey, config.KeyValueRows, "[key/value heads x head size]", nameof(ExtraKey));
        RequireVector(ExtraValue, config.KeyValueRows, "[key/value heads x head size]", nameof(ExtraValue));
        if (ExtraKey is null != ExtraValue is null)
        {
            string missing = ExtraKey is null ? nameof(ExtraKey) : nameof(ExtraValue);
            throw BadInput.Because(missing, $"'ExtraKey' and 'ExtraValue' must be given together; '{missing}' is missing.");
        }

        RequireVector(QueryNorm, config.ActualHeadSize, "[head size]", nameof(QueryNorm));
        RequireVector(KeyNorm, config.ActualHeadSize, "[head size]", nameof(KeyNorm));
        RequireVector(Sinks, config.Heads, "[heads]", nameof(Sinks));
        RequireVector(AlibiSlopes, config.Heads, "[heads]", nameof(AlibiSlopes));
        if (DistanceBias is not null)
            AttentionRules.DistanceReach(DistanceBias.Lengths, config.Heads, nameof(DistanceBias));
        if (QueryNorm is null && KeyNorm is null && config.NormEpsilon != AttentionOptions.DefaultNormEpsilon)
        {
            throw BadInput.OutOfRange(
                "config", config.NormEpsilon, "NormEpsilon must be left out where the weights have neither QueryNorm nor KeyNorm.");
        }
    }

    private static void RequireBias(Tensor<float>? bias, nint expected, string name) =>
        RequireVector(bias, expected, "[rows of its weight]", name);

    private static void RequireVector(Tensor<float>? vector, nint expected, string axes, string name)
    {
        if (vector is not null)
            Require(vector, [expected], axes, name);
    }

    private static void Require(Tensor<float> tensor, ReadOnlySpan<nint> expected, string axes, string name)
    {
        ArgumentNullException.ThrowIfNull(tensor, name);
        ShapeRules.Require(tensor.Lengths, expected, axes, name);
    }

    private static Tensor<float> Glorot(Random random, int rows, int columns)
    {
        HostTensor.RequireShape([rows, columns], "A matrix of parameters", "config");
        double bound = Math.Sqrt(6.0 / (rows + columns));
        var values = new float[(long)rows * columns];
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)((2.0 * random.NextDouble() - 1.0) * bound);
        return Tensor.Create(values, [rows, columns]);
    }
}
