using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>Calls of a layer with a cache that are refused, before anything is written.</summary>
public class CachedLayerRuleTests
{
    private static readonly MultiHeadAttentionConfig _config = new() { EmbeddingSize = 24, Heads = 4, KeyValueHeads = 2, HeadSize = 8 };

    private static readonly KeyValueCacheOptions _options = new() { KeyValueHeads = 2, HeadSize = 8, Capacity = 9, Sequences = 2 };

    public static TheoryData<string, string, string> Misfits => new()
    {
        { "heads", "cache", "must have the layer's 2 key/value heads of size 8; it has 4, with keys of size 8 and values of size 8" },
        { "head size", "cache", "it has 2, with keys of size 16 and values of size 16" },
        { "value head size", "cache", "it has 2, with keys of size 8 and values of size 4" },
        { "values in keys", "cache", "its values are the first elements of the keys" },
        { "window without one", "cache", "it keeps those of a window of 4, and the layer sees all keys to the left" },
        { "window too long", "cache", "it keeps those of a window of 4, and the layer sees 4 keys to the left of its own" },
        { "layer", "cacheLayer", "'cacheLayer' must be 0 to 0, a layer of the cache; it is 1" },
        { "tokens", "input", "with 3 tokens" },
        { "batch axis", "input", "with 3 tokens" },
        { "output", "output", "[tokens, embedding size]" },
        { "engine", "cache", "it is another engine's" },
        { "no batch", "cache", "it is the default value" },
        { "key of a read", "key", "the batch appends no rows" },
        { "positions of a read", "queryPositions", "must be given where a sequence has more queries than rows" },
        { "key positions of a read", "keyPositions", "the batch appends no rows" },
        { "write of a read", "cache", "it is one of 'Read', which writes nothing" },
        { "write without rows", "context", "must be given" },
        { "cumulative lengths", "cumulativeLengths", "the call has a cache" },
        { "key lengths", "keyLengths", "the call has a cache" },
        { "mask", "mask", "sequences are ragged" },
        { "weights", "weights", "sequences are ragged" },
        { "layer without a cache", "cacheLayer", "must be left out where there is no 'cache'" },
    };

    [Theory]
    [MemberData(nameof(Misfits))]
    public void A_call_that_does_not_fit_is_refused_and_can_be_made_right(string what, string argument, string rule)
    {
        AttentionEngine engine = Engines.Reference;
        bool isWindow = what.StartsWith("window", StringComparison.Ordinal);
        bool isRotary = what.Contains("positions", StringComparison.Ordinal);
        MultiHeadAttentionConfig config = _config with
        {
            Window = what == "window too long" ? new AttentionWindow { Left = 4 } : null,
            Rotary = isRotary ? new RotaryEmbedding() : null,
        };
        KeyValueCacheOptions options = what switch
        {
            "heads" => _options with { KeyValueHeads = 4 },
            "head size" => _options with { HeadSize = 16 },
            "value head size" => _options with { ValueHeadSize = 4 },
            "values in keys" => _options with { ValuesInKeys = true },
            _ => isWindow ? _options with { Kind = KeyValueCacheKind.Window, Window = 4 } : _options,
        };
        using var other = new AttentionEngine("reference");
        using var layer = new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(config, Random.Shared.Next()));
        using KeyValueCache cache = (what == "engine" ? other : engine).CreateCache(options);
        KeyValueSequence sequence = cache.Open();
        bool reads = what.EndsWith("read", StringComparison.Ordinal);
        using KeyValueBatch batch = reads ? cache.Read([sequence], [3]) : cache.Append([sequence], [3]);
        var random = new Random(Fuzz.Seed());
        Tensor<float> input = Data.Random(random, what == "tokens" ? [4, 24] : what == "batch axis" ? [1, 3, 24] : [3, 24]);
        Tensor<float> output = Data.Poisoned(what == "output" ? [3, 23] : input.Lengths);
        ArgumentException error = Assert.ThrowsAny<ArgumentException>(() => Call(what, layer, input, output, batch));
        Assert.Equal(argument, error.ParamName);
        Assert.Contains(rule, error.Message, StringComparison.Ordinal);
        Assert.All(Data.Flat(output), number => Assert.True(float.IsNaN(number)));
        if (argument is "cache" || isRotary || reads)
            return;
        layer.Forward(Data.Random(random, 3, 24), batch);
        Assert.Equal(3, sequence.Length);
    }

    [Theory]
    [InlineData(true, "a window")]
    [InlineData(false, "ALiBi slopes")]
    public void A_layer_that_goes_by_the_order_of_rows_refuses_a_tree(bool isWindow, string reason)
    {
        MultiHeadAttentionConfig config = _config with { Window = isWindow ? new AttentionWindow { Left = 4 } : null };
        MultiHeadAttentionWeights random = MultiHeadAttentionWeights.Random(config, Random.Shared.Next());
        var weights = new MultiHeadAttentionWeights
        {
            Query = random.Query,
            Key = random.Key,
            Value = random.Value,
            Output = random.Output,
            AlibiSlopes = isWindow ? null : Tensor.CreateFromShape<float>([config.Heads]),
        };
        using var layer = new MultiHeadAttention<float>(Engines.Reference, config, weights);
        using KeyValueCache cache = Engines.Reference.CreateCache(_options);
        using KeyValueBatch batch = cache.Append([cache.Open()], [3], [-1, 0, 0]);
        Tensor<float> output = Data.Poisoned(3, 24);
        ArgumentException error =
            Assert.ThrowsAny<ArgumentException>(() => Call("tree", layer, Data.Random(new Random(Fuzz.Seed()), 3, 24), output, batch));
        Assert.Equal("cache", error.ParamName);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.All(Data.Flat(output), number => Assert.True(float.IsNaN(number)));
    }

    [Fact]
    public void A_layer_of_a_batch_is_written_once()
    {
        var random = new Random(Fuzz.Seed());
        using MultiHeadAttention<float> layer = new(Engines.Reference, _config, MultiHeadAttentionWeights.Random(_config, random.Next()));
        using KeyValueCache cache = Engines.Reference.CreateCache(_options with { Layers = 2 });
        KeyValueSequence sequence = cache.Open();
        Tensor<float> input = Data.Random(random, 2, 24);
        KeyValueBatch batch = cache.Append([sequence], [2]);
        layer.Forward(input, batch, cacheLayer: 1);
        Assert.Throws<InvalidOperationException>(() => layer.Forward(input, batch, cacheLayer: 1));
        Assert.Throws<InvalidOperationException>(() => layer.WriteCache(input, batch, cacheLayer: 1));

        // Without the other layer the step did not happen.
        batch.Dispose();
        Assert.Equal(0, sequence.Length);
        Assert.Throws<ObjectDisposedException>(() => layer.Forward(input, batch));
        using KeyValueBatch whole = cache.Append([sequence], [2]);
        layer.Forward(input, whole);
        layer.WriteCache(input, whole, cacheLayer: 1);
        whole.Dispose();
        Assert.Equal(2, sequence.Length);
    }

    /// <summary>An epsilon of a norm that the call does not need is no contradiction.</summary>
    [Fact]
    public void A_norm_of_keys_alone_stays_with_the_rows()
    {
        var random = new Random(Fuzz.Seed());
        MultiHeadAttentionConfig config = _config with { NormEpsilon = 1e-3f };
        MultiHeadAttentionWeights plain = MultiHeadAttentionWeights.Random(config with { NormEpsilon = 1e-6f }, random.Next());
        var weights = new MultiHeadAttentionWeights
        {
            Query = plain.Query,
            Key = plain.Key,
            Value = plain.Value,
            Output = plain.Output,
            KeyNorm = Data.Random(random, 8),
        };
        using var layer = new MultiHeadAttention<float>(Engines.Reference, config, weights);
        using KeyValueCache cache = Engines.Reference.CreateCache(_options);
        KeyValueSequence sequence = cache.Open();
        Tensor<float> context = Data.Random(random, 5, 24);
        using (KeyValueBatch batch = cache.Append([sequence], [5]))
            layer.WriteCache(context, batch);
        Tensor<float> query = Data.Random(random, 3, 24);
        using KeyValueBatch reads = cache.Read([sequence], [3]);
        Tensor<float> expected = layer.Forward(query, context, context);
        Close.Assert(expected, layer.Forward(query, reads), "a norm of keys");
    }

    private static void Call(string what, MultiHeadAttention<float> layer, Tensor<float> input, Tensor<float> output, KeyValueBatch batch)
    {
        switch (what)
        {
            case "no batch":
                layer.Forward(input, output, default(KeyValueBatch));
                return;
            case "write of a read":
                layer.WriteCache(input, batch);
                return;
            case "write without rows":
                layer.WriteCache((Tensor<float>?)null, batch);
                return;
        }

        if (what is not ("key of a read" or "key positions of a read" or "cumulative lengths" or "key lengths" or "mask" or "weights"
            or "layer without a cache"))
        {
            layer.Forward(input, output, batch, cacheLayer: what == "layer" ? 1 : 0);
            return;
        }

        bool hasKeyPositions = what == "key positions of a read";
        var positions = new ReadOnlyTensorSpan<int>([0, 1, 2], [1, 3]);
        layer.Forward(
            new MultiHeadAttentionInputs<float>
            {
                Query = input,
                Key = what == "key of a read" ? input : null,
                Cache = what == "layer without a cache" ? default : batch,
                CacheLayer = what == "layer without a cache" ? 1 : 0,
                CumulativeLengths = what == "cumulative lengths" ? [0, 3] : [],
                KeyLengths = what == "key lengths" ? [3] : [],
                Mask = what == "mask" ? new AttentionMask(Tensor.CreateFromShape<bool>([3, 3])) : default,
                QueryPositions = hasKeyPositions ? positions : default,
                KeyPositions = hasKeyPositions ? positions : default,
            },
            new MultiHeadAttentionOutputs<float> { Output = output, Weights = what == "weights" ? Data.Poisoned(4, 3, 3) : null });
    }
}
