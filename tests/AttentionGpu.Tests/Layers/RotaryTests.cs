using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using CsCheck;

namespace AttentionGpu.Tests.Layers;

/// <summary>The tables of rotary embeddings.</summary>
public class RotaryTests
{
    private const int Random = 200;

    private static readonly RotaryEmbedding _llama3 = new() { Base = 500_000.0, Scaling = RotaryScaling.Llama3(8.0, 1.0, 4.0, 8192) };
    private static readonly RotaryEmbedding _gptOss = new() { Base = 150_000.0, Scaling = RotaryScaling.Yarn(32.0, 4096, truncate: false) };
    private static readonly RotaryEmbedding _yarn = new() { Scaling = RotaryScaling.Yarn(16.0, 4096) };

    /// <summary>Pair and frequency, computed in Python from the formulas of transformers' <c>modeling_rope_utils.py</c>.</summary>
    public static TheoryData<string, int, double> Published => new()
    {
        { "Llama 3.1", 0, 1.0 },
        { "Llama 3.1", 1, 0.8146172338565447 },
        { "Llama 3.1", 16, 0.03760603093086393 },
        { "Llama 3.1", 28, 0.0032114459947525913 },
        { "Llama 3.1", 29, 0.002166570763503359 },
        { "Llama 3.1", 31, 0.0008567514129196321 },
        { "Llama 3.1", 34, 0.00017850781276799638 },
        { "Llama 3.1", 35, 9.556212353964683e-05 },
        { "Llama 3.1", 63, 3.068925988914511e-07 },
        { "gpt-oss", 0, 1.0 },
        { "gpt-oss", 5, 0.15532298948448497 },
        { "gpt-oss", 8, 0.050813274815461475 },
        { "gpt-oss", 9, 0.03170569618466377 },
        { "gpt-oss", 12, 0.006794959489732219 },
        { "gpt-oss", 17, 0.00012931870124506317 },
        { "gpt-oss", 18, 3.8308812373753384e-05 },
        { "gpt-oss", 31, 3.0235114281192144e-07 },
        { "YaRN", 20, 0.056234132519034905 },
        { "YaRN", 21, 0.046940859997959404 },
        { "YaRN", 33, 0.004600435467850347 },
        { "YaRN", 46, 8.334508951020775e-05 },
        { "YaRN", 47, 7.217387404309113e-05 },
        { "YaRN", 63, 7.217387404309114e-06 },
    };

    [Theory]
    [MemberData(nameof(Published))]
    public void Frequencies_of_published_models_are_those_of_their_code(string model, int pair, double frequency)
    {
        (RotaryEmbedding rotary, int headSize, double magnitude) = model switch
        {
            "Llama 3.1" => (_llama3, 128, 1.0),
            "gpt-oss" => (_gptOss, 64, 1.3465735902799727),
            _ => (_yarn, 128, 1.2772588722239782),
        };
        (float[] cosine, float[] sine) = rotary.Tables(headSize, 0, 0, 2);
        int half = headSize / 2;
        Assert.Equal(half * 2, cosine.Length);
        Assert.Equal(magnitude, cosine[pair], 1e-7);
        Assert.Equal(0f, sine[pair]);
        Assert.Equal(magnitude * Math.Cos(frequency), cosine[half + pair], 1e-7);
        Assert.Equal(1.0, sine[half + pair] / (magnitude * Math.Sin(frequency)), 1e-7);
    }

    [Fact]
    public void Tables_agree_with_the_published_formulas() => Gen.Int.Sample(
        seed =>
        {
            var random = new Random(seed);
            int headSize = random.Next(2, 140);
            int size = 2 * random.Next(1, headSize / 2 + 1);
            var scaling = (ScalingForm)random.Next(size == 2 ? (int)ScalingForm.Dynamic : 1 + (int)ScalingForm.LongRope);
            double[] Divisors() => [.. Enumerable.Range(0, size / 2).Select(_ => 0.5 + 8.0 * random.NextDouble())];
            RotaryDefinition definition = new(Math.Pow(10.0, 1.0 + 5.0 * random.NextDouble()), size)
            {
                Scaling = scaling,
                Factor = 1.0 + 40.0 * random.NextDouble() * random.Next(2),
                Low = 0.5 + random.NextDouble(),
                High = 2.0 + 30.0 * random.NextDouble(),
                OriginalContext = random.Next(2) == 0 ? random.Next(2, 150) : random.Next(2, 20_000),
                ShortDivisors = Divisors(),
                LongDivisors = Divisors(),
                Magnitude = random.Next(2) == 0 ? null : 0.5 + random.NextDouble(),
                Truncate = random.Next(2) == 0,
            };
            int positions = random.Next(1, 300);
            RotaryEmbedding embedding = definition.ToEmbedding();
            (float[] cosine, float[] sine) = embedding.Tables(headSize, embedding.Stage(positions), 0, positions);
            int half = definition.Size / 2;
            Assert.Equal((positions * half, positions * half), (cosine.Length, sine.Length));
            for (int pair = 0; pair < half; pair++)
            {
                double angle = (positions - 1) * definition.Frequency(pair, positions);
                string context = $"seed {seed}, {definition}, pair {pair}";
                AssertNear(definition.MagnitudeFactor() * Math.Cos(angle), cosine[(positions - 1) * half + pair], context);
                AssertNear(definition.MagnitudeFactor() * Math.Sin(angle), sine[(positions - 1) * half + pair], context);
            }
        },
        iter: Random,
        threads: 1);

    [Fact]
    public void Angles_of_far_positions_are_as_exact_as_those_of_near_ones()
    {
        var definition = new RotaryDefinition(10_000.0, 8);
        const int last = 200_000;
        (float[] cosine, float[] sine) = definition.ToEmbedding().Tables(8, 0, 0, last + 1);
        for (int pair = 0; pair < 4; pair++)
        {
            AssertNear(Math.Cos(last * definition.Frequency(pair, last + 1)), cosine[last * 4 + pair], $"pair {pair}");
            AssertNear(Math.Sin(last * definition.Frequency(pair, last + 1)), sine[last * 4 + pair], $"pair {pair}");
        }
    }

    [Fact]
    public void Rotation_keeps_the_distance_alone()
    {
        // Scores of rotated queries and keys depend on the difference of their positions.
        LayerCall call = ModelLayers.Create("Llama 2", new Random().Next(), Variants.ElementForm.F32, 9);
        var near = System.Numerics.Tensors.Tensor.Create([.. Enumerable.Range(0, 18).Select(i => i % 9)], [2, 9]);
        var far = System.Numerics.Tensors.Tensor.Create([.. Enumerable.Range(0, 18).Select(i => i % 9 + 1000)], [2, 9]);
        LayerResult expected = LayerRun.Run(call with { QueryPositions = near }, Engines.Reference);
        Close.Assert(expected.Output, LayerRun.Run(call with { QueryPositions = far }, Engines.Reference).Output, call.ToString());
        LayerCall apart = call with { QueryPositions = far, KeyPositions = near };
        Assert.NotEqual(Data.Flat(expected.Output), Data.Flat(LayerRun.Run(apart, Engines.Reference).Output));
    }

    private static void AssertNear(double expected, float actual, string context) => Assert.True(
        Math.Abs(expected - actual) <= 1e-7 * Math.Max(1.0, Math.Abs(expected)) + 1e-9,
        $"{context}: {actual:R}, expected {expected:R}");

    [Fact]
    public void Ragged_sequences_whose_frequencies_differ_by_length_are_refused()
    {
        MultiHeadAttentionConfig config = new()
        {
            EmbeddingSize = 8,
            Heads = 2,
            Rotary = new() { Scaling = RotaryScaling.LongRope([1.0, 2.0], [3.0, 4.0], 4, 1.0) },
        };
        using var layer = new MultiHeadAttention<float>(Engines.Reference, config, MultiHeadAttentionWeights.Random(config, 1));
        Tensor<float> input = Data.Random(new Random(1), 9, 8);
        Tensor<float> output = Data.Poisoned([9, 8]);
        layer.ForwardRagged(input, [0, 4, 4, 7], output);
        layer.ForwardRagged(input, [0, 9], output);
        ArgumentException exception = Assert.Throws<ArgumentException>(() => layer.ForwardRagged(input, [0, 4, 9], output));
        Assert.Equal("cumulativeLengths", exception.ParamName);
        Assert.Contains("a sequence of 4 tokens beside one of 5", exception.Message, StringComparison.Ordinal);
        exception = Assert.Throws<ArgumentException>(() => layer.Forward(
            new MultiHeadAttentionInputs<float> { Query = input, Key = input, CumulativeLengths = [0, 5, 9], CumulativeKeyLengths = [0, 4, 9] },
            new MultiHeadAttentionOutputs<float> { Output = output }));
        Assert.Equal("cumulativeLengths", exception.ParamName);
        exception = Assert.Throws<ArgumentException>(() => layer.Forward(
            new MultiHeadAttentionInputs<float>
            {
                Query = Data.Random(new Random(2), 10, 8),
                Key = input,
                CumulativeLengths = [0, 5, 10],
                CumulativeKeyLengths = [0, 4, 9],
            },
            new MultiHeadAttentionOutputs<float> { Output = Data.Poisoned([10, 8]) }));
        Assert.Equal("cumulativeKeyLengths", exception.ParamName);
    }

    [Fact]
    public void Calls_of_many_lengths_at_once_have_each_the_tables_of_its_own()
    {
        MultiHeadAttentionConfig config =
            new() { EmbeddingSize = 8, Heads = 1, Rotary = new() { Scaling = RotaryScaling.Dynamic(2.0, 4) } };
        MultiHeadAttentionWeights weights = MultiHeadAttentionWeights.Random(config, 1);
        using var layer = new MultiHeadAttention<float>(Engines.Get("simd"), config, weights);
        Tensor<float>[] inputs = [.. Enumerable.Range(1, 12).Select(length => Data.Random(new Random(length), 1, length, 8))];
        Tensor<float>[] expected = [.. inputs.Select(input =>
        {
            using var alone = new MultiHeadAttention<float>(Engines.Get("simd"), config, weights);
            return alone.Forward(input);
        })];
        Parallel.For(0, 400, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i =>
        {
            Tensor<float> output = layer.Forward(inputs[i % inputs.Length]);
            Assert.Equal(Data.Flat(expected[i % inputs.Length]), Data.Flat(output));
        });
    }
}
