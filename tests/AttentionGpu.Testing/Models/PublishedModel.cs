using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Layers;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Models;

/// <summary>
/// A small checkpoint with the names, orders and configuration of a published architecture, and the definition of one of its attention
/// layers. It shares no code with what reads it.
/// </summary>
internal sealed record PublishedModel
{
    /// <summary>The values of <c>model_type</c>, which take the place of TYPE in the configuration.</summary>
    public required string[] Types { get; init; }

    /// <summary><c>config.json</c>.</summary>
    public required string Json { get; init; }

    /// <summary>The layer's prefix in the checkpoint, the dot included.</summary>
    public required string Prefix { get; init; }

    /// <summary>Writes the weights under the names of the architecture.</summary>
    public required Action<StoredLayer> Store { get; init; }

    public required int Index { get; init; }

    public ModelStack Stack { get; init; } = ModelStack.Decoder;

    public bool IsCross { get; init; }

    public bool IsCausal { get; init; } = true;

    /// <summary>Sizes and variants, but for rotary embedding.</summary>
    public MultiHeadAttentionConfig Config { get; init; } = new() { EmbeddingSize = 32, Heads = 4 };

    public RotaryDefinition? Rotary { get; init; }

    public bool InputBiases { get; init; }

    public bool OutputBias { get; init; }

    public bool Norms { get; init; }

    public bool Sinks { get; init; }

    public float[]? Slopes { get; init; }

    /// <summary>The buckets of a bias by distance.</summary>
    public BucketDefinition? Buckets { get; init; }

    /// <summary>A call of the layer, which the definition computes too.</summary>
    public LayerCall Call(int seed, int length)
    {
        var random = new Random(seed);
        int size = Config.HeadSize ?? Config.EmbeddingSize / Config.Heads;
        (int rows, int keyRows, int width) = (Config.Heads * size, (Config.KeyValueHeads ?? Config.Heads) * size, Config.EmbeddingSize);
        Tensor<float>? Factors() => Norms ? RandomLayers.Scaled(Data.Random(random, size), 0.5f, 1f) : null;
        return new LayerCall
        {
            Name = $"{Types[0]} {Prefix}, seed {seed}",
            Config = Config,
            Rotary = Rotary,
            Weights = new MultiHeadAttentionWeights
            {
                Query = RandomLayers.Matrix(random, rows, width),
                Key = RandomLayers.Matrix(random, keyRows, width),
                Value = RandomLayers.Matrix(random, keyRows, width),
                Output = RandomLayers.Matrix(random, width, rows),
                QueryBias = InputBiases ? Data.Random(random, rows) : null,
                KeyBias = InputBiases ? Data.Random(random, keyRows) : null,
                ValueBias = InputBiases ? Data.Random(random, keyRows) : null,
                OutputBias = OutputBias ? Data.Random(random, width) : null,
                QueryNorm = Factors(),
                KeyNorm = Factors(),
                Sinks = Sinks ? Data.Random(random, Config.Heads) : null,
                AlibiSlopes = Slopes is null ? null : Tensor.Create(Slopes, [Config.Heads]),
                DistanceBias = Buckets?.Spread(Data.Random(random, Buckets.Count, Config.Heads)),
            },
            Query = Data.Random(random, 2, length, width),
            Key = IsCross ? Data.Random(random, 2, length + 3, width) : null,
            Causal = IsCausal ? Causal.TopLeft : Causal.None,
        };
    }

    /// <summary>The tensors of the layer, by their names in the checkpoint.</summary>
    public Dictionary<string, Tensor<float>> Tensors(MultiHeadAttentionWeights weights)
    {
        var stored = new StoredLayer(Prefix, weights, Config.KeyValueHeads ?? Config.Heads, Buckets);
        Store(stored);
        return stored.Tensors;
    }

    /// <summary>Writes a folder with the model.</summary>
    public void Write(string folder, string type, MultiHeadAttentionWeights weights)
    {
        File.WriteAllText(Path.Combine(folder, "config.json"), Json.Replace("TYPE", type, StringComparison.Ordinal));
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), Tensors(weights));
    }
}

/// <summary>The tensors of a layer as an architecture stores them.</summary>
internal sealed class StoredLayer(
    string prefix, MultiHeadAttentionWeights weights, int keyValueHeads, BucketDefinition? buckets = null)
{
    public Dictionary<string, Tensor<float>> Tensors { get; } = [];

    public void Add(string name, Tensor<float>? tensor)
    {
        if (tensor is not null)
            Tensors.Add(prefix + name, tensor);
    }

    /// <summary>Four linear layers.</summary>
    public void Separate(string query, string key, string value, string output)
    {
        Add($"{query}.weight", weights.Query);
        Add($"{key}.weight", weights.Key);
        Add($"{value}.weight", weights.Value);
        Add($"{query}.bias", weights.QueryBias);
        Add($"{key}.bias", weights.KeyBias);
        Add($"{value}.bias", weights.ValueBias);
        Output(output);
    }

    public void Output(string output)
    {
        Add($"{output}.weight", weights.Output);
        Add($"{output}.bias", weights.OutputBias);
    }

    /// <summary>Norms, as they are or less 1.</summary>
    public void Norms(float less = 0f)
    {
        Add("q_norm.weight", RandomLayers.Scaled(weights.QueryNorm!, 1f, -less));
        Add("k_norm.weight", RandomLayers.Scaled(weights.KeyNorm!, 1f, -less));
    }

    /// <summary>The table of a bias by buckets of distances, under a name that the prefix does not begin.</summary>
    public void RelativeBias(string name) => Tensors.Add(name, buckets!.Table(weights.DistanceBias!));

    public void Sinks() => Add("sinks", weights.Sinks);

    /// <summary>All queries, all keys, all values.</summary>
    public void Stacked(string name)
    {
        Add($"{name}.weight", Joined([.. Rows(weights.Query), .. Rows(weights.Key), .. Rows(weights.Value)]));
        if (weights.QueryBias is not null)
            Add($"{name}.bias", Flat([.. weights.QueryBias, .. weights.KeyBias!, .. weights.ValueBias!]));
    }

    /// <summary>GPT-2's linear layers: [inputs, outputs].</summary>
    public void Transposed(string name, string output)
    {
        Stacked(name);
        Output(output);
        foreach (string matrix in new[] { $"{prefix}{name}.weight", $"{prefix}{output}.weight" })
        {
            Tensor<float> own = Tensors[matrix];
            Tensor<float> turned = Tensor.CreateFromShape<float>([own.Lengths[1], own.Lengths[0]]);
            for (nint row = 0; row < own.Lengths[0]; row++)
            {
                for (nint column = 0; column < own.Lengths[1]; column++)
                    turned[column, row] = own[row, column];
            }

            Tensors[matrix] = turned;
        }
    }

    /// <summary>For each key/value head: the queries that share it, the key, the value.</summary>
    public void Grouped(string name)
    {
        Add($"{name}.weight", Joined(Interleave(Rows(weights.Query), Rows(weights.Key), Rows(weights.Value))));
        if (weights.QueryBias is not null)
        {
            Add($"{name}.bias", Flat([.. Interleave<float>([.. weights.QueryBias], [.. weights.KeyBias!], [.. weights.ValueBias!])]));
        }
    }

    private T[] Interleave<T>(T[] queries, T[] keys, T[] values)
    {
        var all = new List<T>();
        for (int head = 0; head < keyValueHeads; head++)
        {
            foreach (T[] part in new[] { queries, keys, values })
            {
                int count = part.Length / keyValueHeads;
                for (int row = 0; row < count; row++)
                    all.Add(part[head * count + row]);
            }
        }

        return [.. all];
    }

    private static float[][] Rows(Tensor<float> matrix)
    {
        int columns = (int)matrix.Lengths[1];
        return [.. Data.Flat(matrix).Chunk(columns)];
    }

    private static Tensor<float> Joined(float[][] rows) => Tensor.Create([.. rows.SelectMany(row => row)], [rows.Length, rows[0].Length]);

    private static Tensor<float> Flat(float[] values) => Tensor.Create(values, [values.Length]);
}
