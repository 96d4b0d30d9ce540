using System.Numerics.Tensors;
using System.Text.Json.Nodes;
using AttentionGpu.Tests.Models.Definitions;
using AttentionGpu.Tests.Support;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Tests.Layers;

/// <summary>
/// Rotations of layers against ONNX Runtime's <c>RotaryEmbedding</c> (opset 23) between matrix products and its <c>Attention</c>. The
/// tables
/// that the operator takes come from the test's own definition of each scaling.
/// </summary>
public sealed class LayerRotationOnnxRuntimeTests
{
    private const int Heads = 4;
    private const int Shared = 2;
    private const int HeadSize = 16;
    private const int Size = 24;
    private const double Base = 500.0;
    private const int Original = 300;

    private static readonly (string Name, RotaryScaling? Scaling, string? Json)[] _scalings =
    [
        ("none", null, null),
        ("linear", RotaryScaling.Linear(4.0), """{ "rope_type": "linear", "factor": 4.0 }"""),
        ("Llama 3", RotaryScaling.Llama3(8.0, 1.0, 4.0, Original), """
            { "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 300 }
            """),
        ("YaRN", RotaryScaling.Yarn(4.0, Original), """{ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 300 }"""),
        ("YaRN, not rounded", RotaryScaling.Yarn(4.0, Original, truncate: false), """
            { "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 300, "truncate": false }
            """),
    ];

    [Theory]
    [EveryDevice]
    public void Rotations_agree_with_ONNX_Runtime(string device)
    {
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        (int Scaling, bool Interleaved, int Rotated)[] kinds =
        [
            .. from scaling in Enumerable.Range(0, _scalings.Length)
               from interleaved in (bool[])[false, true]
               from rotated in (int[])[HeadSize, HeadSize / 4]
               select (scaling, interleaved, rotated),
        ];
        if (device == "ilgpu-cpu")
        {
            // A call takes a second there: each run draws some kinds.
            random.Shuffle(kinds);
            kinds = kinds[..Math.Min(kinds.Length, Fuzz.Problems(usual: 3))];
        }

        foreach ((int index, bool interleaved, int rotated) in kinds)
        {
            (string name, RotaryScaling? scaling, string? json) = _scalings[index];
            int length = random.Next(1, device == "ilgpu-cpu" ? 6 : 40);
            var config = new MultiHeadAttentionConfig
            {
                EmbeddingSize = Size,
                Heads = Heads,
                KeyValueHeads = Shared,
                HeadSize = HeadSize,
                Rotary = new RotaryEmbedding { Base = Base, Interleaved = interleaved, Size = rotated, Scaling = scaling },
            };
            var rotation = Rotation.Scaled(json is null ? null : JsonNode.Parse(json), Base, rotated, length, Original);
            MultiHeadAttentionWeights weights = MultiHeadAttentionWeights.Random(config, random.Next());
            Tensor<float> input = Data.Random(random, 2, length, Size);
            using var layer = new MultiHeadAttention<float>(Engines.Get(device), config, weights);
            Tensor<float> output = layer.Forward(input.AsReadOnlyTensorSpan(), Causal.TopLeft);
            Close.Assert(
                Expected(weights, input, rotation, interleaved), output,
                $"{name}, {(interleaved ? "neighbours" : "halves")}, {rotated} of {HeadSize} elements, {length} tokens, seed {seed}");
        }
    }

    private static Tensor<float> Expected(MultiHeadAttentionWeights weights, Tensor<float> input, Rotation rotation, bool interleaved)
    {
        var model = new OnnxModel();
        var values = new Dictionary<string, OrtValue>();
        int length = (int)input.Lengths[1];
        Tensor<float> Table(Func<double, double> function) => Tensor.Create(
            [.. Enumerable.Range(0, length).SelectMany(i => rotation.Frequencies.Select(f => (float)(rotation.Factor * function(i * f))))],
            [length, rotation.Frequencies.Length]);
        string cosines = OnnxRuntimeOracle.Add(model, values, "cosines", Table(Math.Cos));
        string sines = OnnxRuntimeOracle.Add(model, values, "sines", Table(Math.Sin));
        long[] ids = [.. Enumerable.Range(0, 2 * length).Select(i => (long)(i % length))];
        string positions = OnnxRuntimeOracle.Add(model, values, "positions", Tensor.Create(ids, [2, length]));
        string Rotated(string name, Tensor<float> rows, int heads) => model.AddNode(
            "RotaryEmbedding", [OnnxRuntimeOracle.Add(model, values, name, rows), cosines, sines, positions], [name + "_rotated"],
            ("interleaved", interleaved ? 1 : 0), ("rotary_embedding_dim", 2 * rotation.Frequencies.Length), ("num_heads", heads));
        string mixed = model.AddNode(
            "Attention",
            [
                Rotated("q", OnnxRuntimeOracle.Linear(input, weights.Query, weights.QueryBias), Heads),
                Rotated("k", OnnxRuntimeOracle.Linear(input, weights.Key, weights.KeyBias), Shared),
                OnnxRuntimeOracle.Add(model, values, "v", OnnxRuntimeOracle.Linear(input, weights.Value, weights.ValueBias)),
            ],
            ["mixed"], ("q_num_heads", Heads), ("kv_num_heads", Shared), ("is_causal", 1));
        return OnnxRuntimeOracle.Linear(OnnxRuntimeOracle.Run(model, values, mixed)[0], weights.Output, weights.OutputBias);
    }
}
