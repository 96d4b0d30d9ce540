using System.Diagnostics.Metrics;
using System.Numerics.Tensors;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace AttentionGpu.Hosting.Tests;

/// <summary>Services on the processor, one layer, and what it gives each request alone.</summary>
internal static class Fixture
{
    public const int Embedding = 32;

    public static MultiHeadAttentionConfig Config { get; } = new() { EmbeddingSize = Embedding, Heads = 4 };

    public static MultiHeadAttentionWeights Weights { get; } = MultiHeadAttentionWeights.Random(Config, seed: 3);

    private static readonly AttentionEngine _reference = new("reference");
    private static readonly MultiHeadAttention _layer = new(_reference, Config, Weights);

    public static AttentionService Create(AttentionServiceOptions options, Func<string, AttentionEngineOptions, AttentionEngine>? createEngine = null) =>
        new("test", options, new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>(),
            NullLogger<AttentionService>.Instance, createEngine);

    public static float[] Input(int tokens, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, tokens * Embedding).Select(_ => random.NextSingle() * 2f - 1f)];
    }

    public static float[] Expected(float[] input, Causal causal = Causal.None)
    {
        nint[] lengths = [1, input.Length / Embedding, Embedding];
        var output = new float[input.Length];
        _layer.Forward(new ReadOnlyTensorSpan<float>(input, lengths), new TensorSpan<float>(output, lengths), causal);
        return output;
    }
}

/// <summary>The processor, that fails or stops on demand.</summary>
internal sealed class FaultyBackend() : DelegatingBackend(new SimdBackend())
{
    /// <summary>Called before each linear layer; may throw, or wait.</summary>
    public Action BeforeLinear { get; set; } = () => { };

    public override DeviceInfo Device => base.Device with { Name = "faulty" };

    public override IPlan<LinearBuffers> Plan(LinearProblem problem) => new WatchedPlan<LinearBuffers>(base.Plan(problem), before: _ => BeforeLinear());
}
