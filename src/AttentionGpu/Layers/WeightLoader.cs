using System.Numerics.Tensors;
using AttentionGpu.Serialization;

namespace AttentionGpu.Layers;

/// <summary>
/// Finds the parameters of one attention layer in a checkpoint, under any of three sets of names: PyTorch's joined
/// (<c>in_proj_weight</c>), PyTorch's with separate sizes (<c>q_proj_weight</c>), and separate linear layers (<c>q_proj.weight</c>).
/// </summary>
internal sealed class WeightLoader(SafetensorsFile file, string? prefix)
{
    // Parameters that change the result but that this layer does not apply.
    private static readonly string[] _unsupported =
        ["q_norm.weight", "k_norm.weight", "q_layernorm.weight", "k_layernorm.weight", "sinks"];

    // Parameters of PyTorch's layer that separate layers do not have.
    private static readonly string[] _joinedOnly = ["bias_k", "bias_v"];

    private readonly string _prefix = string.IsNullOrEmpty(prefix) || prefix.EndsWith('.') ? prefix ?? "" : prefix + ".";

    /// <exception cref="InvalidDataException">A tensor is missing, has a wrong shape, or is one that the layer cannot apply.</exception>
    public (MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights) Load(int heads, int? keyValueHeads, bool batchFirst)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(heads, 1);
        if (keyValueHeads is int given)
            ArgumentOutOfRangeException.ThrowIfLessThan(given, 1, nameof(keyValueHeads));
        if (_unsupported.FirstOrDefault(Has) is string extra)
            throw Error($"holds '{_prefix}{extra}', which this layer does not apply: its results would be wrong");

        MultiHeadAttentionWeights weights = Has("in_proj_weight") ? LoadJoined(heads, keyValueHeads ?? heads)
            : Has("q_proj_weight") ? WithJoinedBias(Matrix("q_proj_weight"), Matrix("k_proj_weight"), Matrix("v_proj_weight"))
            : Has("q_proj.weight") ? LoadLayers()
            : throw Error(
                $"has none of '{_prefix}in_proj_weight', '{_prefix}q_proj_weight' and '{_prefix}q_proj.weight'. It has: {file.Summary()}");

        nint queryRows = weights.Query.Lengths[0];
        if (queryRows % heads != 0)
            throw Error($"has queries of {queryRows} elements, which {heads} heads do not divide");
        nint headSize = queryRows / heads;
        if (weights.Key.Lengths[0] % headSize != 0)
            throw Error($"has keys of {weights.Key.Lengths[0]} elements, which the head size {headSize} does not divide");
        var config = new MultiHeadAttentionConfig
        {
            EmbeddingSize = (int)weights.Query.Lengths[1],
            Heads = heads,
            KeyValueHeads = keyValueHeads ?? (int)(weights.Key.Lengths[0] / headSize),
            HeadSize = (int)headSize,
            KeySize = (int)weights.Key.Lengths[1],
            ValueSize = (int)weights.Value.Lengths[1],
            BatchFirst = batchFirst,
        };
        try
        {
            config.Validate();
            weights.Validate(config);
        }
        catch (ArgumentException exception)
        {
            throw new InvalidDataException($"'{file.Path}' does not fit a layer with {heads} heads: {exception.Message}", exception);
        }

        return (config, weights);
    }

    private MultiHeadAttentionWeights LoadJoined(int heads, int keyValueHeads)
    {
        Tensor<float> joined = Matrix("in_proj_weight");
        long parts = heads + 2L * keyValueHeads;
        nint rows = joined.Lengths[0];
        if (rows % parts != 0)
            throw Error($"has '{_prefix}in_proj_weight' with {rows} rows, which {heads} heads and {keyValueHeads} key/value heads do not divide");
        nint queryRows = (nint)(rows / parts * heads);
        nint keyRows = (nint)(rows / parts * keyValueHeads);
        return WithJoinedBias(
            Rows(joined, 0, queryRows), Rows(joined, queryRows, keyRows), Rows(joined, queryRows + keyRows, keyRows));
    }

    private MultiHeadAttentionWeights WithJoinedBias(Tensor<float> query, Tensor<float> key, Tensor<float> value)
    {
        (nint queryRows, nint keyRows, nint valueRows) = (query.Lengths[0], key.Lengths[0], value.Lengths[0]);
        Tensor<float>? bias = Vector("in_proj_bias");
        if (bias is not null && bias.Lengths[0] != queryRows + keyRows + valueRows)
            throw Error($"has '{_prefix}in_proj_bias' of {bias.Lengths[0]} elements; its weights have {queryRows + keyRows + valueRows} rows");
        return new MultiHeadAttentionWeights
        {
            Query = query,
            Key = key,
            Value = value,
            Output = Matrix("out_proj.weight"),
            QueryBias = bias is null ? null : Rows(bias, 0, queryRows),
            KeyBias = bias is null ? null : Rows(bias, queryRows, keyRows),
            ValueBias = bias is null ? null : Rows(bias, queryRows + keyRows, valueRows),
            OutputBias = Vector("out_proj.bias"),
            ExtraKey = Flat("bias_k"),
            ExtraValue = Flat("bias_v"),
        };
    }

    private MultiHeadAttentionWeights LoadLayers()
    {
        if (_joinedOnly.FirstOrDefault(Has) is string extra)
            throw Error($"holds '{_prefix}{extra}' beside '{_prefix}q_proj.weight', which this layer does not apply: its results would be wrong");
        string output = Has("out_proj.weight") || !Has("o_proj.weight") ? "out_proj" : "o_proj";
        return new MultiHeadAttentionWeights
        {
            Query = Matrix("q_proj.weight"),
            Key = Matrix("k_proj.weight"),
            Value = Matrix("v_proj.weight"),
            Output = Matrix(output + ".weight"),
            QueryBias = Vector("q_proj.bias"),
            KeyBias = Vector("k_proj.bias"),
            ValueBias = Vector("v_proj.bias"),
            OutputBias = Vector(output + ".bias"),
        };
    }

    private bool Has(string name) => file.Entries.ContainsKey(_prefix + name);

    private Tensor<float> Matrix(string name) => Ranked(name, 2);

    private Tensor<float>? Vector(string name) => Has(name) ? Ranked(name, 1) : null;

    // [1, 1, size], as one vector.
    private Tensor<float>? Flat(string name)
    {
        if (!Has(name))
            return null;
        Tensor<float> rows = Ranked(name, 3);
        var values = new float[rows.FlattenedLength];
        rows.FlattenTo(values);
        return Tensor.Create(values, [rows.FlattenedLength]);
    }

    private Tensor<float> Ranked(string name, int rank)
    {
        if (file.Entries.TryGetValue(_prefix + name, out SafetensorsEntry? entry)
            && (entry.Lengths.Count != rank || entry.Lengths.Any(length => length is < 1 or > int.MaxValue)))
        {
            throw Error($"has '{_prefix}{name}' of shape [{string.Join(", ", entry.Lengths)}]; it must have rank {rank} and no empty axis");
        }

        return file.Read(_prefix + name);
    }

    private static Tensor<float> Rows(Tensor<float> tensor, nint first, nint count)
    {
        nint rowSize = tensor.Rank == 1 ? 1 : tensor.Lengths[1];
        var values = new float[tensor.FlattenedLength];
        tensor.FlattenTo(values);
        float[] part = values.AsSpan((int)(first * rowSize), (int)(count * rowSize)).ToArray();
        return tensor.Rank == 1 ? Tensor.Create(part, [count]) : Tensor.Create(part, [count, rowSize]);
    }

    private InvalidDataException Error(string what) => new($"'{file.Path}' {what}.");
}
