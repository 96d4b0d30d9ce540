using System.Globalization;
using System.Numerics.Tensors;
using AttentionGpu.Layers;
using AttentionGpu.Serialization;

namespace AttentionGpu.Models;

/// <summary>Reads one attention layer of a checkpoint, under the names of its family.</summary>
/// <param name="checkpoint">The tensors.</param>
/// <param name="configuration">The configuration of the layer's part of the model.</param>
/// <param name="place">Where such layers are.</param>
/// <param name="layer">The layer.</param>
internal sealed class ModelLayerReader(Checkpoint checkpoint, ModelConfiguration configuration, LayerPlace place, LayerName layer)
{
    private const string QueryNorm = "q_norm.weight";
    private const string KeyNorm = "k_norm.weight";
    private const string Sinks = "sinks";

    // The prefix, as messages show it.
    private readonly string _shown = Excerpt.Of(layer.Prefix);
    private readonly ProjectionNames _names = place.Names;
    private readonly ModelFamily _family = configuration.Family;
    private readonly bool _isTransposed = place.Names.IsTransposed && !checkpoint.IsOutputsFirst;

    /// <summary>The prefix of the layer's tensors with N for its number, without the final dot.</summary>
    public string Pattern => layer.Model + place.NumberedName;

    /// <summary>What the layer computes, by the configuration and the shapes; no parameter is read.</summary>
    /// <exception cref="InvalidDataException">
    /// A tensor is missing, or the shapes fit no layer with the heads of the configuration.
    /// </exception>
    public MultiHeadAttentionConfig Config()
    {
        int heads = configuration.Heads(place);
        (int rows, int columns) = Shape(_names.Inputs[0]);
        MultiHeadAttentionConfig sizes = _names.Joined is null ? Separate(heads, rows, columns) : Joined(heads, rows, columns);
        MultiHeadAttentionConfig config = configuration.Apply(sizes, NumberedPrefix);
        if (Shape(_names.Output) != (config.EmbeddingSize, config.QueryRows))
        {
            throw Error(
                $"has '{_shown}{ProjectionNames.Weight(_names.Output)}' for {Shape(_names.Output)} outputs and inputs; the layer has "
                + $"{(config.EmbeddingSize, config.QueryRows)}");
        }

        try
        {
            config.Validate();
        }
        catch (ArgumentException exception)
        {
            throw Misfit(heads, exception);
        }

        _ = Buckets(heads);
        if (_names.Inputs.Any(name => checkpoint.Entries.ContainsKey(layer.Prefix + ProjectionNames.Bias(name))))
            configuration.RequireInputBiases(checkpoint.Path);
        return config;
    }

    /// <summary>The elements of the layer's matrices; float32 where they differ.</summary>
    /// <exception cref="InvalidDataException">They are no floating-point numbers that can be read.</exception>
    public Type Element() => checkpoint.CommonElement(_names.Inputs.Append(_names.Output).Select(name => Matrix(name).Name));

    /// <summary>Reads the parameters.</summary>
    /// <exception cref="InvalidDataException">
    /// A tensor is missing, has a wrong shape, or stands below the layer's prefix and is not one that the layer applies.
    /// </exception>
    public MultiHeadAttentionWeights Read(MultiHeadAttentionConfig config)
    {
        string[] norms = _family.Norms == StoredNorms.None ? [] : [QueryNorm, KeyNorm];
        string[] variants = _family.HasSinks ? [.. norms, Sinks] : norms;
        string[] shared = SharedBias?.StartsWith(layer.Prefix, StringComparison.Ordinal) == true ? [SharedBias[layer.Prefix.Length..]] : [];
        string[] projections =
        [
            .. _names.Inputs.Append(_names.Output)
                .SelectMany(name => (string[])[ProjectionNames.Weight(name), ProjectionNames.Bias(name)]),
        ];
        new UnreadParameters(checkpoint, layer.Prefix)
            .RequireNone([.. projections, .. variants, .. shared, .. _names.Others], MultiHeadAttentionLoadOptions.Default);

        Projections inputs = _names.Joined is null ? ReadSeparate() : ReadJoined(config);
        var weights = new MultiHeadAttentionWeights
        {
            Query = inputs.Query,
            Key = inputs.Key,
            Value = inputs.Value,
            Output = ReadMatrix(_names.Output),
            QueryBias = inputs.QueryBias,
            KeyBias = inputs.KeyBias,
            ValueBias = inputs.ValueBias,
            OutputBias = ReadBias(_names.Output),
            StoredType = Element(),
            QueryNorm = Vector(QueryNorm, variants),
            KeyNorm = Vector(KeyNorm, variants),
            Sinks = variants.Contains(Sinks) ? ReadVector(layer.Prefix + Sinks) : null,
            AlibiSlopes = configuration.Slopes(config.Heads),
            DistanceBias = Buckets(config.Heads)?.Spread(checkpoint.Read(SharedBias!)),
        };
        try
        {
            weights.Validate(config);
        }
        catch (ArgumentException exception)
        {
            throw Misfit(config.Heads, exception);
        }

        return weights;
    }

    // The prefix up to the layer's number: names behind it may have numbers of their own.
    private string NumberedPrefix => place.IsSingle ? layer.Prefix : layer.Index.ToString(CultureInfo.InvariantCulture);

    // The name of the table of relative bias, which is a layer's own, the first layer's or the model's.
    private string? SharedBias => place.RelativeBias is string name
        ? layer.Model + name.Replace(".N.", $".{layer.Index.ToString(CultureInfo.InvariantCulture)}.", StringComparison.Ordinal)
        : null;

    // How the table spreads, with its shape checked; null where there is none.
    private RelativeBuckets? Buckets(int heads)
    {
        if (SharedBias is not string name)
            return null;
        RelativeBuckets buckets = configuration.Buckets(place);
        SafetensorsEntry entry = Entry(name, 2);
        return entry.Lengths[0] == buckets.Count && entry.Lengths[1] == heads
            ? buckets
            : throw Error(
                $"has '{Excerpt.Of(name)}' of shape [{string.Join(", ", entry.Lengths)}]; it must have [{buckets.Count}, {heads}]");
    }

    private MultiHeadAttentionConfig Separate(int heads, int rows, int columns)
    {
        (int keyRows, int keyColumns) = Shape(_names.Key);
        (int valueRows, int valueColumns) = Shape(_names.Value);
        if (rows % heads != 0)
            throw Error($"has '{_shown}{ProjectionNames.Weight(_names.Query)}' for {rows} elements, which {heads} heads do not divide");
        int headSize = rows / heads;
        if (keyRows % headSize != 0 || valueRows != keyRows)
        {
            throw Error(
                $"has keys of {keyRows} and values of {valueRows} elements below '{_shown}'; both must be the same multiple of the "
                + $"head size {headSize}");
        }

        return new MultiHeadAttentionConfig
        {
            EmbeddingSize = columns,
            Heads = heads,
            KeyValueHeads = keyRows / headSize,
            HeadSize = headSize,
            KeySize = keyColumns,
            ValueSize = valueColumns,
        };
    }

    private MultiHeadAttentionConfig Joined(int heads, int rows, int columns)
    {
        int keyValueHeads = configuration.KeyValueHeads(place, heads);
        long parts = heads + 2L * keyValueHeads;
        if (rows % parts != 0)
        {
            throw Error(
                $"has '{_shown}{ProjectionNames.Weight(_names.Joined!)}' for {rows} elements, which {heads} heads and {keyValueHeads} "
                + "key/value heads do not divide");
        }

        return new MultiHeadAttentionConfig
        {
            EmbeddingSize = columns,
            Heads = heads,
            KeyValueHeads = keyValueHeads,
            HeadSize = (int)(rows / parts),
            KeySize = columns,
            ValueSize = columns,
        };
    }

    private Projections ReadSeparate() => new(
        ReadMatrix(_names.Query), ReadMatrix(_names.Key), ReadMatrix(_names.Value),
        ReadBias(_names.Query), ReadBias(_names.Key), ReadBias(_names.Value));

    private Projections ReadJoined(MultiHeadAttentionConfig config)
    {
        Tensor<float> matrix = ReadMatrix(_names.Joined!);
        Tensor<float>? bias = ReadBias(_names.Joined!);
        if (bias is not null && bias.Lengths[0] != matrix.Lengths[0])
        {
            throw Error(
                $"has '{_shown}{ProjectionNames.Bias(_names.Joined!)}' of {bias.Lengths[0]} elements; its matrix makes "
                + $"{matrix.Lengths[0]}");
        }

        var rows = new JoinedRows(config, _names.Order);
        return new Projections(
            TensorRows.Take(matrix, rows.Queries), TensorRows.Take(matrix, rows.Keys), TensorRows.Take(matrix, rows.Values),
            bias is null ? null : TensorRows.Take(bias, rows.Queries),
            bias is null ? null : TensorRows.Take(bias, rows.Keys),
            bias is null ? null : TensorRows.Take(bias, rows.Values));
    }

    // What a matrix makes, and what from.
    private (int Rows, int Columns) Shape(string name)
    {
        IReadOnlyList<nint> lengths = Matrix(name).Lengths;
        return _isTransposed ? ((int)lengths[1], (int)lengths[0]) : ((int)lengths[0], (int)lengths[1]);
    }

    private SafetensorsEntry Matrix(string name) => Entry(layer.Prefix + ProjectionNames.Weight(name), 2);

    private SafetensorsEntry Entry(string name, int rank)
    {
        if (!checkpoint.Entries.TryGetValue(name, out SafetensorsEntry? entry))
            throw Error($"has no tensor '{Excerpt.Of(name)}', which {configuration.Owner} have");
        if (entry.Lengths.Count != rank || entry.Lengths.Any(length => length is < 1 or > int.MaxValue))
        {
            throw Error(
                $"has '{Excerpt.Of(name)}' of shape [{string.Join(", ", entry.Lengths)}]; it must have rank {rank} and no empty axis");
        }

        return entry;
    }

    private Tensor<float> ReadMatrix(string name)
    {
        Tensor<float> stored = checkpoint.Read(Matrix(name).Name);
        return _isTransposed ? Tensor.Transpose(stored).ToDenseTensor() : stored;
    }

    private Tensor<float>? ReadBias(string name)
    {
        string bias = layer.Prefix + ProjectionNames.Bias(name);
        return checkpoint.Entries.ContainsKey(bias) ? ReadVector(bias) : null;
    }

    private Tensor<float>? Vector(string name, string[] variants) =>
        variants.Contains(name) ? NormFactors.Read(ReadVector(layer.Prefix + name), _family.Norms) : null;

    private Tensor<float> ReadVector(string name) => checkpoint.Read(Entry(name, 1).Name);

    private InvalidDataException Misfit(int heads, ArgumentException exception) =>
        new($"'{checkpoint.Path}' has a layer '{_shown}' that does not fit {heads} heads: {exception.Message.ReplaceLineEndings(" ")}",
            exception);

    private InvalidDataException Error(string what) => new($"'{checkpoint.Path}' {what}.");

    private sealed record Projections(
        Tensor<float> Query, Tensor<float> Key, Tensor<float> Value, Tensor<float>? QueryBias, Tensor<float>? KeyBias,
        Tensor<float>? ValueBias);
}
