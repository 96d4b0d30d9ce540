using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>A folder with a checkpoint of one layer under the names of separate layers, and perhaps a <c>config.json</c>.</summary>
internal sealed class CheckpointFolder : IDisposable
{
    public const int Heads = 4;
    public const int KeyValueHeads = 2;
    public const int HeadSize = 6;

    private readonly string _path = Directory.CreateTempSubdirectory().FullName;

    /// <summary>What a layer's configuration is where nothing but the checkpoint is known.</summary>
    public static MultiHeadAttentionConfig Sizes { get; } = new()
    {
        EmbeddingSize = 10,
        Heads = Heads,
        KeyValueHeads = KeyValueHeads,
        HeadSize = HeadSize,
        KeySize = 10,
        ValueSize = 10,
    };

    public string File => Path.Combine(_path, "w.safetensors");

    public static MultiHeadAttentionWeights Weights(bool norms = false, bool sinks = false) => new()
    {
        Query = Data.Random(new Random(1), Heads * HeadSize, 10),
        Key = Data.Random(new Random(2), KeyValueHeads * HeadSize, 10),
        Value = Data.Random(new Random(3), KeyValueHeads * HeadSize, 10),
        Output = Data.Random(new Random(4), 10, Heads * HeadSize),
        QueryNorm = norms ? Data.Random(new Random(5), HeadSize) : null,
        KeyNorm = norms ? Data.Random(new Random(6), HeadSize) : null,
        Sinks = sinks ? Data.Random(new Random(7), Heads) : null,
    };

    public void Write(
        string prefix, MultiHeadAttentionWeights weights, string output = "o_proj", (string Name, Tensor<float> Tensor)? extra = null)
    {
        var tensors = new Dictionary<string, Tensor<float>>
        {
            [$"{prefix}.q_proj.weight"] = weights.Query,
            [$"{prefix}.k_proj.weight"] = weights.Key,
            [$"{prefix}.v_proj.weight"] = weights.Value,
            [$"{prefix}.{output}.weight"] = weights.Output,
        };
        Add("q_norm.weight", weights.QueryNorm);
        Add("k_norm.weight", weights.KeyNorm);
        Add("sinks", weights.Sinks);
        Add(extra?.Name, extra?.Tensor);
        SafetensorsFile.Write(File, tensors);

        void Add(string? name, Tensor<float>? tensor)
        {
            if (tensor is not null)
                tensors[$"{prefix}.{name}"] = tensor;
        }
    }

    public void WriteConfiguration(string json) => System.IO.File.WriteAllText(Path.Combine(_path, "config.json"), json);

    public void Dispose() => Directory.Delete(_path, recursive: true);
}
