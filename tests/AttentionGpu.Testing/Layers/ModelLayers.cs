using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Layers;

/// <summary>Small layers with what the attention layers of published models have, and random parameters.</summary>
internal static class ModelLayers
{
    private static readonly MultiHeadAttentionConfig _gemma =
        new() { EmbeddingSize = 36, Heads = 4, KeyValueHeads = 2, HeadSize = 16, Scale = 0.21f, Softcap = 1.5f };

    private static readonly Dictionary<string, Model> _models = new()
    {
        ["Llama 2"] = new(new() { EmbeddingSize = 48, Heads = 6, KeyValueHeads = 2 }, new(10_000.0, 8)),
        ["Llama 3.1"] = new(
            new() { EmbeddingSize = 64, Heads = 4, KeyValueHeads = 1 },
            new(500_000.0, 16) { Scaling = ScalingForm.Llama3, Factor = 8.0, Low = 1.0, High = 4.0, OriginalContext = 32 }),
        ["linear scaling"] = new(
            new() { EmbeddingSize = 32, Heads = 4 }, new(10_000.0, 8) { Scaling = ScalingForm.Linear, Factor = 4.0 }),
        ["Mistral"] = new(
            new() { EmbeddingSize = 48, Heads = 6, KeyValueHeads = 3, Window = new() { Left = 5 } }, new(10_000.0, 8)),
        ["Qwen2"] = new(
            new() { EmbeddingSize = 28, Heads = 7, KeyValueHeads = 1 }, new(1_000_000.0, 4))
        { InputBiases = true },
        ["Gemma 2"] = new(_gemma with { Window = new() { Left = 7 } }, new(10_000.0, 16)),
        ["Gemma 2, every other layer"] = new(_gemma, new(10_000.0, 16)),
        ["Qwen3"] = new(
            new() { EmbeddingSize = 40, Heads = 4, KeyValueHeads = 2, HeadSize = 16, NormEpsilon = 1e-5f }, new(1_000_000.0, 16))
        { Norms = true },
        ["gpt-oss"] = new(
            new() { EmbeddingSize = 45, Heads = 8, KeyValueHeads = 2, HeadSize = 8, Window = new() { Left = 6 } },
            new(150_000.0, 8) { Scaling = ScalingForm.Yarn, Factor = 32.0, OriginalContext = 64, Truncate = false })
        {
            InputBiases = true,
            OutputBias = true,
            Sinks = true,
        },
        ["gpt-oss, every other layer"] = new(
            new() { EmbeddingSize = 45, Heads = 8, KeyValueHeads = 2, HeadSize = 8 },
            new(150_000.0, 8) { Scaling = ScalingForm.Yarn, Factor = 32.0, OriginalContext = 64, Truncate = false })
        {
            InputBiases = true,
            OutputBias = true,
            Sinks = true,
        },
        ["YaRN as in its paper"] = new(
            new() { EmbeddingSize = 32, Heads = 2 },
            new(10_000.0, 16) { Scaling = ScalingForm.Yarn, Factor = 4.0, OriginalContext = 48 }),
        ["GPT-J"] = new(new() { EmbeddingSize = 40, Heads = 4 }, new(10_000.0, 4) { Interleaved = true }),
        ["GPT-NeoX"] = new(new() { EmbeddingSize = 48, Heads = 3 }, new(10_000.0, 4)) { InputBiases = true, OutputBias = true },
        ["BLOOM"] = new(new() { EmbeddingSize = 40, Heads = 5 }, null) { InputBiases = true, OutputBias = true, Slopes = true },
    };

    /// <summary>The models.</summary>
    public static IEnumerable<string> Names => _models.Keys;

    /// <summary>A causal call of a model's layer on a random text; the same seed gives the same one.</summary>
    public static LayerCall Create(string name, int seed, ElementForm element, int length)
    {
        Model model = _models[name];
        MultiHeadAttentionConfig config = model.Config;
        var random = new Random(seed);
        int size = config.HeadSize ?? config.EmbeddingSize / config.Heads;
        (int rows, int keyRows) = (config.Heads * size, (config.KeyValueHeads ?? config.Heads) * size);
        Tensor<float>? Factors() => model.Norms ? RandomLayers.Scaled(Data.Random(random, size), 0.5f, 1f) : null;
        return new LayerCall
        {
            Name = $"{name}, seed {seed}",
            Config = config,
            Rotary = model.Rotary,
            Element = element,
            Weights = new MultiHeadAttentionWeights
            {
                Query = RandomLayers.Matrix(random, rows, config.EmbeddingSize),
                Key = RandomLayers.Matrix(random, keyRows, config.EmbeddingSize),
                Value = RandomLayers.Matrix(random, keyRows, config.EmbeddingSize),
                Output = RandomLayers.Matrix(random, config.EmbeddingSize, rows),
                QueryBias = model.InputBiases ? Data.Random(random, rows) : null,
                KeyBias = model.InputBiases ? Data.Random(random, keyRows) : null,
                ValueBias = model.InputBiases ? Data.Random(random, keyRows) : null,
                OutputBias = model.OutputBias ? Data.Random(random, config.EmbeddingSize) : null,
                QueryNorm = Factors(),
                KeyNorm = Factors(),
                Sinks = model.Sinks ? Data.Random(random, config.Heads) : null,

                // 2^(-8 (h + 1) / heads), as in the paper.
                AlibiSlopes = model.Slopes
                    ? Tensor.Create(
                        [.. Enumerable.Range(1, config.Heads).Select(head => float.Pow(2f, -8f * head / config.Heads))], [config.Heads])
                    : null,
            },
            Query = Data.Random(random, 2, length, config.EmbeddingSize),
            Causal = Causal.TopLeft,
        };
    }

    private sealed record Model(MultiHeadAttentionConfig Config, RotaryDefinition? Rotary)
    {
        public bool InputBiases { get; init; }

        public bool OutputBias { get; init; }

        public bool Norms { get; init; }

        public bool Sinks { get; init; }

        public bool Slopes { get; init; }
    }
}
