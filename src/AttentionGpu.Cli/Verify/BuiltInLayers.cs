using System.Diagnostics;
using System.Numerics.Tensors;

namespace AttentionGpu.Cli.Verify;

/// <summary>
/// Layers with what those of published models have, in every element type, against the float64 reference, which rounds where a layer of
/// that
/// type does. Outputs are poisoned with NaN before each run.
/// </summary>
internal static class BuiltInLayers
{
    private const int Seed = 2023;
    private const int Batch = 2;
    private const int Length = 29;

    private static readonly Layer[] _layers =
    [
        new("Llama", new() { EmbeddingSize = 96, Heads = 6, KeyValueHeads = 2, Rotary = new() }),
        new("Llama 3.1", new()
        {
            EmbeddingSize = 64,
            Heads = 4,
            KeyValueHeads = 1,
            Rotary = new() { Base = 500_000.0, Scaling = RotaryScaling.Llama3(8.0, 1.0, 4.0, 32) },
        }),
        new("Mistral", new() { EmbeddingSize = 64, Heads = 4, KeyValueHeads = 2, Rotary = new(), Window = new() { Left = 7 } }),
        new("Gemma 2", new()
        {
            EmbeddingSize = 72,
            Heads = 4,
            KeyValueHeads = 2,
            HeadSize = 32,
            Scale = 0.15f,
            Softcap = 1.5f,
            Rotary = new(),
        }),
        new("Qwen3", new()
        {
            EmbeddingSize = 48,
            Heads = 4,
            KeyValueHeads = 2,
            HeadSize = 16,
            Rotary = new() { Base = 1_000_000.0 },
        })
        {
            HasNorms = true,
        },
        new("gpt-oss", new()
        {
            EmbeddingSize = 45,
            Heads = 8,
            KeyValueHeads = 2,
            HeadSize = 16,
            Window = new() { Left = 9 },
            Rotary = new() { Base = 150_000.0, Scaling = RotaryScaling.Yarn(32.0, 64, truncate: false) },
        })
        {
            HasSinks = true,
        },
        new("GPT-J, ragged batch", new() { EmbeddingSize = 64, Heads = 4, Rotary = new() { Size = 8, Interleaved = true } })
        {
            Starts = [0, 17, 18, 18, Batch * Length],
        },
        new("ALiBi, key lengths, weights, log-sum-exp", new() { EmbeddingSize = 60, Heads = 5, BatchFirst = false })
        {
            HasSlopes = true,
            KeyLengths = [Length, 11],
            HasWeights = true,
        },
        new("extra key and zero attention, weights", new() { EmbeddingSize = 48, Heads = 4, AddZeroAttention = true })
        {
            HasExtraKey = true,
            KeyLengths = [Length, 0],
            HasWeights = true,
        },
    ];

    /// <summary>All cases.</summary>
    public static IReadOnlyList<VerifyCase> All { get; } =
    [
        .. _layers.Select(layer => Case<float>("layer, ", layer, value => value, value => value, VerifyOutcome.Tolerance)),
        .. _layers.Select(layer => Case(
            "layer, float16, ", layer, value => (Half)value, value => (float)value, VerifyOutcome.Float16Tolerance)),
        .. _layers.Select(layer => Case(
            "layer, bfloat16, ", layer, value => (BFloat16)value, value => value, VerifyOutcome.BFloat16Tolerance)),
    ];

    private static VerifyCase Case<T>(string kind, Layer layer, Converter<float, T> store, Converter<T, float> load, double tolerance)
        where T : unmanaged
    {
        string name = kind + layer.Name;
        return new VerifyCase(name, engine =>
        {
            using var reference = new AttentionEngine("reference");
            float[][] expected = Run(reference, layer, store, load);
            long start = Stopwatch.GetTimestamp();
            float[][] actual = Run(engine, layer, store, load);
            double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            return VerifyOutcome.CompareEach(name, actual, expected, milliseconds, tolerance);
        });
    }

    private static float[][] Run<T>(AttentionEngine engine, Layer layer, Converter<float, T> store, Converter<T, float> load)
        where T : unmanaged
    {
        Tensor<T> Convert(Tensor<float> tensor) => Tensor.Create(Array.ConvertAll(Flatten(tensor), store), tensor.Lengths);
        MultiHeadAttentionConfig config = layer.Config;
        var random = new Random(Seed);
        using var attention = new MultiHeadAttention<T>(engine, config, layer.Weights(random));
        nint[] lengths = layer.Starts.Length > 0 ? [Batch * Length, config.EmbeddingSize]
            : config.BatchFirst ? [Batch, Length, config.EmbeddingSize]
            : [Length, Batch, config.EmbeddingSize];
        Tensor<T> input = Convert(Draw(random, lengths));
        Tensor<T> output = Convert(Poisoned(lengths));
        Tensor<T>? weights = layer.HasWeights ? Convert(Poisoned(Batch, config.Heads, Length, Length + attention.ExtraKeys)) : null;
        Tensor<float>? sums = layer.HasWeights ? Poisoned(Batch, config.Heads, Length) : null;
        attention.Forward(
            new MultiHeadAttentionInputs<T>
            {
                Query = input,
                Causal = Causal.TopLeft,
                KeyLengths = layer.KeyLengths,
                CumulativeLengths = layer.Starts,
            },
            new MultiHeadAttentionOutputs<T> { Output = output, Weights = weights, LogSumExp = sums });
        return weights is null || sums is null
            ? [Array.ConvertAll(Flatten(output), load)]
            : [Array.ConvertAll(Flatten(output), load), Array.ConvertAll(Flatten(weights), load), Flatten(sums)];
    }

    private static Tensor<float> Draw(Random random, params ReadOnlySpan<nint> lengths)
    {
        float[] values = Flatten(Tensor.CreateFromShape<float>(lengths));
        foreach (ref float value in values.AsSpan())
            value = (float)(2.0 * random.NextDouble() - 1.0);
        return Tensor.Create(values, lengths);
    }

    private static Tensor<float> Poisoned(params ReadOnlySpan<nint> lengths)
    {
        float[] values = Flatten(Tensor.CreateFromShape<float>(lengths));
        Array.Fill(values, float.NaN);
        return Tensor.Create(values, lengths);
    }

    private static T[] Flatten<T>(Tensor<T> tensor)
    {
        var values = new T[tensor.FlattenedLength];
        tensor.FlattenTo(values);
        return values;
    }

    /// <summary>A layer and its call: causal self-attention.</summary>
    private sealed record Layer(string Name, MultiHeadAttentionConfig Config)
    {
        public bool HasNorms { get; init; }

        public bool HasSinks { get; init; }

        public bool HasExtraKey { get; init; }

        public bool HasSlopes { get; init; }

        /// <summary>Whether attention weights and log-sum-exp are asked for.</summary>
        public bool HasWeights { get; init; }

        public int[] KeyLengths { get; init; } = [];

        public int[] Starts { get; init; } = [];

        public MultiHeadAttentionWeights Weights(Random random)
        {
            MultiHeadAttentionWeights weights = MultiHeadAttentionWeights.Random(Config, Seed);
            int size = Config.HeadSize ?? Config.EmbeddingSize / Config.Heads;
            int keyRows = (Config.KeyValueHeads ?? Config.Heads) * size;
            return new MultiHeadAttentionWeights
            {
                Query = weights.Query,
                Key = weights.Key,
                Value = weights.Value,
                Output = weights.Output,
                QueryBias = Draw(random, Config.Heads * size),
                KeyBias = Draw(random, keyRows),
                ValueBias = Draw(random, keyRows),
                OutputBias = Draw(random, Config.EmbeddingSize),
                ExtraKey = HasExtraKey ? Draw(random, keyRows) : null,
                ExtraValue = HasExtraKey ? Draw(random, keyRows) : null,
                QueryNorm = HasNorms ? Draw(random, size) : null,
                KeyNorm = HasNorms ? Draw(random, size) : null,
                Sinks = HasSinks ? Draw(random, Config.Heads) : null,
                AlibiSlopes = HasSlopes
                    ? Tensor.Create([.. Enumerable.Range(1, Config.Heads).Select(head => 1f / (1 << head))], [Config.Heads])
                    : null,
            };
        }
    }
}
