using System.Diagnostics.Metrics;
using System.Numerics.Tensors;
using AttentionGpu.Hosting.Scheduling;
using AttentionGpu.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace AttentionGpu.Hosting.Tests;

/// <summary>Services on the processor, two layers, and the outputs of each for a request alone.</summary>
internal static class Fixture
{
    public const int Embedding = 32;

    public static MultiHeadAttentionConfig Config { get; } = new() { EmbeddingSize = Embedding, Heads = 4 };

    public static MultiHeadAttentionWeights Weights { get; } = MultiHeadAttentionWeights.Random(Config, seed: 3);

    /// <summary>A second layer; its number of heads tells the two apart.</summary>
    public static MultiHeadAttentionConfig OtherConfig { get; } = new() { EmbeddingSize = Embedding, Heads = 2 };

    public static MultiHeadAttentionWeights OtherWeights { get; } = MultiHeadAttentionWeights.Random(OtherConfig, seed: 4);

    private static readonly AttentionEngine _reference = new("reference");
    private static readonly MultiHeadAttention<float> _layer = new(_reference, Config, Weights);
    private static readonly MultiHeadAttention<float> _otherLayer = new(_reference, OtherConfig, OtherWeights);

    public static AttentionService Create(
        AttentionServiceOptions options, Func<string, AttentionEngineOptions, AttentionEngine>? createEngine = null,
        IMeterFactory? meters = null, ILogger<AttentionService>? logger = null, string name = "test", TimeProvider? time = null,
        BatchMemory? memory = null) =>
        new(name, options, meters ?? new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>(),
            logger ?? NullLogger<AttentionService>.Instance, createEngine, time, memory);

    /// <summary>A service whose device is <paramref name="device"/>; other names, a fallback's, are those of real devices.</summary>
    public static AttentionService CreateOn(
        FaultyBackend device, AttentionServiceOptions options, IMeterFactory? meters = null, ILogger<AttentionService>? logger = null,
        TimeProvider? time = null) =>
        Create(
            options,
            (name, engineOptions) => name == options.Device ? new AttentionEngine(device) : new AttentionEngine(name, engineOptions),
            meters,
            logger,
            time: time);

    public static float[] Input(int tokens, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, tokens * Embedding).Select(_ => random.NextSingle() * 2f - 1f)];
    }

    public static float[] Expected(float[] input, Causal causal = Causal.None) => Expected(_layer, input, causal);

    public static float[] ExpectedOfOther(float[] input, Causal causal = Causal.None) => Expected(_otherLayer, input, causal);

    private static float[] Expected(MultiHeadAttention<float> layer, float[] input, Causal causal)
    {
        nint[] lengths = [1, input.Length / Embedding, Embedding];
        var output = new float[input.Length];
        layer.Forward(new ReadOnlyTensorSpan<float>(input, lengths), new TensorSpan<float>(output, lengths), causal);
        return output;
    }
}
