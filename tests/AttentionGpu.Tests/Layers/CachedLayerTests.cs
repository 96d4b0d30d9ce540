using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Layers;

/// <summary>Layers with a cache: random combinations of what a layer can have, positions, and what is refused.</summary>
public class CachedLayerTests
{
    private const int Length = 21;
    private const int OriginalContext = 6;

    private static readonly MultiHeadAttentionConfig _config =
        new() { EmbeddingSize = 24, Heads = 4, KeyValueHeads = 2, HeadSize = 8, Rotary = new RotaryEmbedding { Size = 8 } };

    private static readonly KeyValueCacheOptions _options = new() { KeyValueHeads = 2, HeadSize = 8, Capacity = Length, Sequences = 3 };

    [Theory]
    [EveryDevice]
    public void Random_layers_agree_with_whole_sequences(string device)
    {
        int seed = Fuzz.Seed();
        int usual = Engines.Get(device).Device.Kind is DeviceKind.Reference or DeviceKind.Simd ? 12 : 2;
        foreach (LayerCall call in Calls(seed).Take(Fuzz.Problems(usual)))
        {
            MultiHeadAttentionConfig config = call.Config with { BatchFirst = true, Rotary = call.Rotary?.ToEmbedding() };
            var random = new Random(seed);
            using var layer = new MultiHeadAttention<float>(Engines.Get(device), config, call.Weights);
            using var definition = new MultiHeadAttention<float>(Engines.Reference, config, call.Weights);
            KeyValueCacheOptions options = new()
            {
                KeyValueHeads = config.ActualKeyValueHeads,
                HeadSize = config.ActualHeadSize,
                Capacity = Length,
                Sequences = 1,
                Kind = random.Next(2) == 0 ? KeyValueCacheKind.Contiguous : KeyValueCacheKind.Paged,
            };
            CachedRun.AssertAgrees([layer], [definition], options, random, Length, $"{call} on {device}");
        }
    }

    /// <summary>Not causal, with log-sum-exp, keys of their own and 16 bits: what the run above leaves out.</summary>
    [Theory]
    [EveryDevice]
    public void A_call_with_everything_agrees_with_a_ragged_one(string device)
    {
        var random = new Random(Fuzz.Seed());
        MultiHeadAttentionConfig config = _config with { KeySize = 5, ValueSize = 7 };
        var weights = MultiHeadAttentionWeights.Random(config, random.Next());
        using var layer = new MultiHeadAttention<Half>(Engines.Get(device), config, weights);
        using var definition = new MultiHeadAttention<Half>(Engines.Reference, config, weights);
        using KeyValueCache cache = Engines.Get(device).CreateCache(_options with { Element = KeyValueElement.Float16 });
        using KeyValueBatch batch = cache.Append([cache.Open(), cache.Open()], [4, 3]);
        Tensor<Half> query = Halves(Data.Random(random, 7, 24));
        Tensor<Half> key = Halves(Data.Random(random, 7, 5));
        Tensor<Half> value = Halves(Data.Random(random, 7, 7));
        (Tensor<Half> Output, Tensor<float> Sums) Run(MultiHeadAttention<Half> runs, KeyValueBatch given, ReadOnlySpan<int> starts)
        {
            Tensor<Half> output = Halves(Data.Poisoned(7, 24));
            Tensor<float> sums = Data.Poisoned(4, 7);
            runs.Forward(
                new MultiHeadAttentionInputs<Half>
                {
                    Query = query,
                    Key = key,
                    Value = value,
                    Cache = given,
                    CumulativeLengths = starts,
                    Causal = Causal.None,
                },
                new MultiHeadAttentionOutputs<Half> { Output = output, LogSumExp = sums });
            return (output, sums);
        }

        (Tensor<Half> expected, Tensor<float> expectedSums) = Run(definition, default, [0, 4, 7]);
        (Tensor<Half> actual, Tensor<float> sums) = Run(layer, batch, []);
        Close.Assert(expectedSums, sums, device, LayerRun.Tolerance(ElementForm.F16));
        Close.Assert(
            Array.ConvertAll(Data.Flat(expected), number => (float)number), Array.ConvertAll(Data.Flat(actual), number => (float)number),
            device,
            LayerRun.Tolerance(ElementForm.F16));
    }

    /// <summary>Rows that were rotated beyond the original context stay, and so do those behind them.</summary>
    [Fact]
    public void A_sequence_goes_on_in_the_stage_of_its_length()
    {
        var random = new Random(Fuzz.Seed());
        double[] divisors = [2.0, 3.0, 5.0, 7.0];
        MultiHeadAttentionConfig config = _config with
        {
            Rotary = new RotaryEmbedding
            {
                Size = 8,
                Scaling = RotaryScaling.LongRope([1.0, 1.0, 1.0, 1.0], divisors, OriginalContext, 1.0),
            },
        };
        using var layer = new MultiHeadAttention<float>(Engines.Reference, config, MultiHeadAttentionWeights.Random(config, random.Next()));
        using KeyValueCache cache = Engines.Reference.CreateCache(_options);
        Tensor<float> input = Data.Random(random, 1, Length, 24);
        KeyValueSequence sequence = cache.Open();
        var actual = new List<float>();
        for (int first = 0, count = OriginalContext + 1; first < Length; first += count, count = 1)
        {
            using KeyValueBatch batch = cache.Append([sequence], [count]);
            Tensor<float> rows = Tensor.Create(Data.Flat(input)[(first * 24)..((first + count) * 24)], [count, 24]);
            actual.AddRange(Data.Flat(layer.Forward(rows, batch)));
        }

        Close.Assert(Data.Flat(layer.Forward(input, Causal.TopLeft)), [.. actual], "LongRoPE");

        // A sequence of the other stage cannot be in its batch.
        KeyValueSequence other = cache.Open();
        sequence.Truncate(Length - 1);
        using KeyValueBatch mixed = cache.Append([sequence, other], [1, 1]);
        ArgumentException error = Assert.Throws<ArgumentException>(() => layer.Forward(Data.Random(random, 2, 24), mixed));
        Assert.Equal("cache", error.ParamName);
        Assert.Contains("LongRoPE", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Positions_that_are_given_take_the_place_of_the_rows_own()
    {
        var random = new Random(Fuzz.Seed());
        using MultiHeadAttention<float> layer = Layer(_config);
        using KeyValueCache cache = Engines.Reference.CreateCache(_options);
        KeyValueSequence sequence = cache.Open();
        Tensor<float> input = Data.Random(random, 5, 24);
        int[] positions = [7, 3, 3, 90, 0];
        Tensor<float> expected = Data.Poisoned(5, 24);
        layer.Forward(
            new MultiHeadAttentionInputs<float>
            {
                Query = input,
                QueryPositions = new ReadOnlyTensorSpan<int>(positions, [1, 5]),
                CumulativeLengths = [0, 5],
                Causal = Causal.BottomRight,
            },
            new MultiHeadAttentionOutputs<float> { Output = expected });
        var actual = new List<float>();
        foreach ((int first, int count) in new[] { (0, 2), (2, 3) })
        {
            using KeyValueBatch batch = cache.Append([sequence], [count]);
            Tensor<float> output = Data.Poisoned(count, 24);
            layer.Forward(
                new MultiHeadAttentionInputs<float>
                {
                    Query = Tensor.Create(Data.Flat(input)[(first * 24)..((first + count) * 24)], [count, 24]),
                    QueryPositions = new ReadOnlyTensorSpan<int>(positions.AsSpan(first, count), [1, count]),
                    Cache = batch,
                },
                new MultiHeadAttentionOutputs<float> { Output = output });
            actual.AddRange(Data.Flat(output));
        }

        Close.Assert(Data.Flat(expected), [.. actual], "positions");

        // The same tokens again, without their rows: the last query stands at the last row.
        using KeyValueBatch reads = cache.Read([sequence], [5]);
        Tensor<float> again = Data.Poisoned(5, 24);
        layer.Forward(
            new MultiHeadAttentionInputs<float>
            {
                Query = input,
                QueryPositions = new ReadOnlyTensorSpan<int>(positions, [1, 5]),
                Cache = reads,
                Causal = Causal.BottomRight,
            },
            new MultiHeadAttentionOutputs<float> { Output = again });
        Close.Assert(expected, again, "read again");
    }

    [Theory]
    [EveryDevice]
    public void Rows_that_the_operator_writes_are_those_that_it_reads(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        var random = new Random(Fuzz.Seed());
        using KeyValueCache cache = engine.CreateCache(_options with { ValueHeadSize = 5, Layers = 2, Kind = KeyValueCacheKind.Paged });
        KeyValueSequence[] sequences = [cache.Open(), cache.Open()];
        Tensor<float> key = Data.Random(random, 12, 2, 8);
        Tensor<float> value = Data.Random(random, 12, 2, 5);
        using (KeyValueBatch batch = cache.Append(sequences, [9, 3]))
        {
            engine.WriteCache<float>(value: value, key: key, cache: batch, cacheLayer: 1);
            engine.WriteCache<float>(Data.Random(random, 12, 2, 8), Data.Random(random, 12, 2, 5), batch);
        }

        Tensor<float> query = Data.Random(random, 4, 4, 8);
        Tensor<float> output = Data.Poisoned(4, 4, 5);
        Tensor<float> expected = Data.Poisoned(4, 4, 5);
        using (KeyValueBatch batch = cache.Read(sequences, [1, 3]))
        {
            engine.ScaledDotProductAttention(
                new AttentionInputs<float> { Query = query, Key = default, Value = default, Cache = batch, CacheLayer = 1 },
                new AttentionOutputs<float> { Output = output });
        }

        Engines.Reference.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = query,
                Key = key,
                Value = value,
                CumulativeQueryLengths = [0, 1, 4],
                CumulativeKeyLengths = [0, 9, 12],
            },
            new AttentionOutputs<float> { Output = expected });
        Close.Assert(expected, output, device);
    }

    private static IEnumerable<LayerCall> Calls(int seed)
    {
        for (int i = 0; ; i++)
        {
            LayerCall call = RandomLayers.Create(seed + i, ElementForm.F32);
            if (call.Config is { KeySize: null, ValueSize: null } && call.Rotary is not { DependsOnLength: true })
                yield return call;
        }
    }

    private static MultiHeadAttention<float> Layer(MultiHeadAttentionConfig config) =>
        new(Engines.Reference, config, MultiHeadAttentionWeights.Random(config, Random.Shared.Next()));

    private static Tensor<Half> Halves(Tensor<float> tensor) =>
        Tensor.Create(Array.ConvertAll(Data.Flat(tensor), number => (Half)number), tensor.Lengths);
}
