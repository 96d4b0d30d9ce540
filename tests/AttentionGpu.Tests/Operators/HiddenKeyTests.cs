using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Operators;

/// <summary>A hidden key takes no part: neither it nor its value may matter, infinite or NaN, whatever hides it.</summary>
public class HiddenKeyTests
{
    private const int Problems = 60;

    private const int DeviceProblems = 20;
    private const int MaxLength = 24;
    private const int Keys = 100;
    private const int Tokens = 5;
    private const int PaddedTokens = 9;
    private const int Embedding = 8;

    // Products that are asked for are those of hidden keys too.
    private static readonly ScoreStage?[] _scores = [null, null, ScoreStage.Weights, ScoreStage.AverageWeights, ScoreStage.Masked];

    [Fact]
    public void The_reference_leaves_hidden_keys_out() => AssertAgreement(Engines.Reference.Device.Name, NaiveAttention.Run);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Garbage_reaches_the_queries_that_see_it_and_no_others(string backend) =>
        AssertAgreement(backend, VariantRun.OnReference);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_later_value_does_not_reach_an_earlier_query(string backend)
    {
        float[] values = [.. Enumerable.Repeat(1f, Keys - 1), float.NaN];
        float[] output = Run(backend, values, new AttentionOptions { Causal = Causal.TopLeft }, default);
        Assert.All(output[..^1], value => Assert.Equal(1f, value, 1e-6f));
        Assert.True(float.IsNaN(output[^1]));
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Queries_that_see_no_key_are_zero_whatever_is_hidden(string backend)
    {
        float[] values = [.. Enumerable.Repeat(float.NaN, Keys)];
        Assert.All(
            Run(backend, values, new AttentionOptions(), Tensor.CreateFromShape<bool>([Keys])), value => Assert.Equal(0f, value));
        Tensor<float> bias = Tensor.Create(Enumerable.Repeat(float.NegativeInfinity, Keys).ToArray(), [Keys]);
        Assert.All(Run(backend, values, new AttentionOptions(), bias), value => Assert.Equal(0f, value));
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_value_that_weighs_next_to_nothing_is_still_seen(string backend)
    {
        // The second key's weight is e^-200: 0 in float32, not 0 by the definition.
        float[] values = [1f, float.PositiveInfinity];
        Tensor<float> bias = Tensor.Create([0f, -200f], [2]);
        Assert.All(Run(backend, values, new AttentionOptions(), bias), value => Assert.False(float.IsFinite(value)));
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_layer_with_padding_of_garbage_is_as_one_without(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var config = new MultiHeadAttentionConfig { EmbeddingSize = Embedding, Heads = 2 };
        using var layer = new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(config, 1));
        Tensor<float> input = Data.Random(new Random(2), 1, Tokens, Embedding);
        Tensor<float> padded = Data.Poisoned(1, PaddedTokens, Embedding);
        input.AsReadOnlyTensorSpan().CopyTo(padded.AsTensorSpan()[.., ..Tokens, ..]);
        Tensor<bool> padding = Tensor.Create(Enumerable.Range(0, PaddedTokens).Select(key => key >= Tokens).ToArray(), [1, PaddedTokens]);
        Tensor<float> expected = Data.Poisoned(1, Tokens, Embedding);
        Tensor<float> actual = Data.Poisoned(1, PaddedTokens, Embedding);
        Tensor<float> withWeights = Data.Poisoned(1, PaddedTokens, Embedding);
        Tensor<float> weights = Data.Poisoned(1, PaddedTokens, PaddedTokens);
        layer.Forward(input, expected);
        layer.Forward(padded, actual, keyPaddingMask: padding);
        layer.ForwardWithWeights(padded, padded, padded, withWeights, weights, averageHeads: true, keyPaddingMask: padding);
        Close.Assert(Data.Flat(expected), Data.Flat(actual)[..(Tokens * Embedding)], backend);
        Close.Assert(Data.Flat(expected), Data.Flat(withWeights)[..(Tokens * Embedding)], backend);
        Assert.All(Data.Flat(weights)[..(Tokens * PaddedTokens)], weight => Assert.InRange(weight, 0f, 1f));
    }

    private static float[] Run(string backend, float[] values, AttentionOptions options, AttentionMask mask)
    {
        nint[] lengths = [1, 1, values.Length, 1];
        Tensor<float> zeros = Tensor.CreateFromShape<float>(lengths);
        Tensor<float> output = Data.Poisoned(lengths);
        Engines.Get(backend).ScaledDotProductAttention<float>(zeros, zeros, Tensor.Create(values, lengths), output, options, mask);
        return Data.Flat(output);
    }

    private static void AssertAgreement(string backend, Func<VariantCase, VariantResult> definition)
    {
        AttentionEngine engine = Engines.Get(backend);
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        int problems = Fuzz.Problems(engine.Device.Kind is DeviceKind.Simd or DeviceKind.Reference ? Problems : DeviceProblems);
        int problemsOfKind = Fuzz.ProblemsOfKind(backend);
        VariantKind kind = Draw(random);
        for (int i = 0; i < problems; i++)
        {
            if (i % problemsOfKind == 0)
                kind = Draw(random);
            VariantCase problem = Garbage.Fill(VariantCase.Create(kind, random, MaxLength), random);
            string context = $"seed {seed}, problem {i}: {kind}";
            VariantResult expected = definition(problem);
            VariantResult actual = VariantRun.Run(problem, engine);
            AssertClose(expected.Output, actual.Output, problem.LargestValue);
            AssertClose(expected.Scores, actual.Scores, 1.0);
            AssertClose(expected.LogSumExp, actual.LogSumExp, 1.0);

            void AssertClose(Tensor<float>? want, Tensor<float>? got, double largestTerm)
            {
                if (want is not null)
                    Close.Assert(want, got!, context, problem.Tolerance, problem.Smallest(largestTerm));
            }
        }
    }

    private static VariantKind Draw(Random random)
    {
        VariantKind kind;
        do
        {
            kind = VariantKind.Draw(
                random, "element type", "causal", "prefix", "window", "softcap", "ALiBi", "distance bias", "sinks", "mask", "documents",
                "sequences", "layout", "grouped heads", "value head size", "scores", "log-sum-exp", "few queries");
        }
        while (!kind.IsValid || !_scores.Contains(kind.Scores));
        return kind;
    }
}
