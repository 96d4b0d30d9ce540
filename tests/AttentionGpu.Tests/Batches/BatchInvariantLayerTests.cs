using System.Numerics.Tensors;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Batches;

/// <summary>A batch-invariant layer, projections included, has the same bits for a request alone and at each place of a batch.</summary>
public class BatchInvariantLayerTests
{
    private const int FewThreads = 1;
    private const int ManyThreads = 16;

    // Deep enough that 16-bit weights are converted in several blocks for a few rows.
    private const int WideEmbedding = 640;

    private static readonly int[] _batches = [2, 3, 7];

    // The emulator is slow.
    private static readonly int[] _smallBatches = [2, 3];

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_request_has_the_same_bits_in_every_batch(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        int drawn = Random.Shared.Next();
        for (int seed = drawn; seed < drawn + (Engines.IsDriver(device) ? 1 : 2); seed++)
            AssertSame(seed, engine, engine, _smallBatches, embedding: 12, longest: 6);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void The_processor_keeps_them_at_every_width_and_number_of_threads(int width)
    {
        using var alone = new AttentionEngine(new SimdBackend(width, FewThreads));
        using var together = new AttentionEngine(new SimdBackend(width, ManyThreads));
        for (int seed = 100; seed < 106; seed++)
            AssertSame(seed, alone, together, _batches, embedding: 48, longest: 90);
        for (int seed = 200; seed < 203; seed++)
            AssertSame(seed, alone, together, _smallBatches, WideEmbedding, longest: 20);
    }

    [Fact]
    public void An_engine_makes_all_of_its_calls_batch_invariant()
    {
        using var engine = new AttentionEngine("simd", new AttentionEngineOptions { BatchInvariant = true, Threads = ManyThreads });
        Assert.True(IsSame(engine, new MultiHeadAttentionConfig { EmbeddingSize = WideEmbedding, Heads = 8 }));
    }

    /// <summary>What the option is for: a few rows of 16 bits are multiplied by smaller blocks of the weight than many.</summary>
    [Fact]
    public void Without_the_option_the_processor_multiplies_few_rows_in_another_order()
    {
        using var engine = new AttentionEngine("simd", new AttentionEngineOptions { Threads = ManyThreads });
        var config = new MultiHeadAttentionConfig { EmbeddingSize = WideEmbedding, Heads = 8 };
        Assert.False(IsSame(engine, config));
        Assert.True(IsSame(engine, config with { BatchInvariant = true }));
    }

    private static bool IsSame(AttentionEngine engine, MultiHeadAttentionConfig config)
    {
        var random = new Random(6);
        using var layer = new MultiHeadAttention<Half>(engine, config, MultiHeadAttentionWeights.Random(config, seed: 2));
        Half[][] requests = [Values<Half>(random, 3 * config.EmbeddingSize), Values<Half>(random, 40 * config.EmbeddingSize)];
        return requests.Zip(RunRagged(layer, requests, Causal.None)).All(pair =>
            Bits.AreSame<Half>(Run(layer, [pair.First], [], Causal.None)[0], pair.Second));
    }

    private static void AssertSame(int seed, AttentionEngine alone, AttentionEngine together, int[] batches, int embedding, int longest)
    {
        Engines.ForElements(
            alone.Device.Name, seed,
            () => AssertSame<float>(seed, alone, together, batches, embedding, longest),
            () => AssertSame<Half>(seed, alone, together, batches, embedding, longest),
            () => AssertSame<BFloat16>(seed, alone, together, batches, embedding, longest));
    }

    private static void AssertSame<T>(int seed, AttentionEngine alone, AttentionEngine together, int[] batches, int embedding, int longest)
        where T : unmanaged
    {
        var random = new Random(seed);
        MultiHeadAttentionConfig config = Config(random, embedding);
        MultiHeadAttentionWeights weights = Weights(random, config);
        var causal = (Causal)random.Next(3);
        using var first = new MultiHeadAttention<T>(alone, config, weights);
        using var second = new MultiHeadAttention<T>(together, config, weights);
        string context = $"seed {seed}, {typeof(T).Name}, {config}, {causal}";
        int count = batches[random.Next(batches.Length)];
        int tokens = random.Next(1, longest);
        T[][] same = [.. Enumerable.Range(0, count).Select(_ => Values<T>(random, tokens * embedding))];
        T[][] ragged = [.. Enumerable.Range(0, count).Select(_ => Values<T>(random, random.Next(longest) * embedding))];
        T[][] contexts = [.. Enumerable.Range(0, count).Select(_ => Values<T>(random, random.Next(longest) * embedding))];
        AssertSame(
            same, contexts, (requests, _) => Run(first, requests, [], causal), (requests, _) => Run(second, requests, [], causal),
            $"dense, {context}");
        AssertSame(
            same, contexts, (requests, keys) => Run(first, requests, keys, causal), (requests, keys) => Run(second, requests, keys, causal),
            $"key lengths, {context}");
        AssertSame(
            ragged, contexts, (requests, _) => Run(first, requests, [], causal), (requests, _) => RunRagged(second, requests, causal),
            $"ragged, {context}");
    }

    // Each request at each place.
    private static void AssertSame<T>(
        T[][] requests, T[][] contexts, Func<T[][], T[][], T[][]> alone, Func<T[][], T[][], T[][]> together, string context)
        where T : unmanaged
    {
        T[][] expected = [.. requests.Select((request, i) => alone([request], [contexts[i]])[0])];
        for (int shift = 0; shift < requests.Length; shift++)
        {
            T[][] results = together([.. requests[shift..], .. requests[..shift]], [.. contexts[shift..], .. contexts[..shift]]);
            for (int place = 0; place < requests.Length; place++)
            {
                int request = (place + shift) % requests.Length;
                Bits.AssertSame<T>(expected[request], results[place], $"{context}, request {request} at place {place}");
            }
        }
    }

    // Requests of the same length, attending to themselves or to contexts of their own lengths.
    private static T[][] Run<T>(MultiHeadAttention<T> layer, T[][] requests, T[][] contexts, Causal causal)
        where T : unmanaged
    {
        int size = layer.Config.EmbeddingSize;
        int tokens = requests[0].Length / size;
        int keys = contexts.Length == 0 ? 0 : contexts.Max(context => context.Length) / size;
        Tensor<T> output = Arranged(layer, [.. requests.Select(request => ElementArrays.Poisoned<T>(request.Length))], tokens);
        layer.Forward(
            new MultiHeadAttentionInputs<T>
            {
                Query = Arranged(layer, requests, tokens),
                Key = contexts.Length == 0 ? default : Arranged(layer, [.. contexts.Select(context => Padded(context, keys * size))], keys),
                KeyLengths = contexts.Select(context => context.Length / size).ToArray(),
                Causal = causal,
            },
            new MultiHeadAttentionOutputs<T> { Output = output });
        T[] all = Data.Flat(layer.Config.BatchFirst ? output : Tensor.PermuteDimensions(output, [1, 0, 2]).ToDenseTensor());
        return [.. requests.Select((request, i) => all[(i * request.Length)..((i + 1) * request.Length)])];
    }

    private static T[][] RunRagged<T>(MultiHeadAttention<T> layer, T[][] requests, Causal causal)
        where T : unmanaged
    {
        int size = layer.Config.EmbeddingSize;
        var starts = new int[requests.Length + 1];
        for (int i = 0; i < requests.Length; i++)
            starts[i + 1] = starts[i] + requests[i].Length / size;
        T[] output = ElementArrays.Poisoned<T>(starts[^1] * size);
        layer.Forward(
            new MultiHeadAttentionInputs<T>
            {
                Query = Tensor.Create([.. requests.SelectMany(request => request)], [starts[^1], size]),
                CumulativeLengths = starts,
                Causal = causal,
            },
            new MultiHeadAttentionOutputs<T> { Output = Tensor.Create(output, [starts[^1], size]) });
        return [.. requests.Select((_, i) => output[(starts[i] * size)..(starts[i + 1] * size)])];
    }

    private static Tensor<T> Arranged<T>(MultiHeadAttention<T> layer, T[][] rows, int tokens)
        where T : unmanaged
    {
        Tensor<T> batch = Tensor.Create([.. rows.SelectMany(row => row)], [rows.Length, tokens, layer.Config.EmbeddingSize]);
        return layer.Config.BatchFirst ? batch : Tensor.PermuteDimensions(batch, [1, 0, 2]).ToDenseTensor();
    }

    private static T[] Padded<T>(T[] own, int length) =>
        [.. own, .. Enumerable.Range(0, length - own.Length).Select(i => own.Length == 0 ? default! : own[i % own.Length])];

    private static T[] Values<T>(Random random, int count) =>
        ElementArrays.Round<T>([.. Enumerable.Range(0, count).Select(_ => 2f * random.NextSingle() - 1f)]);

    private static MultiHeadAttentionConfig Config(Random random, int embedding)
    {
        int keyHeads = random.Next(1, 3);
        return new MultiHeadAttentionConfig
        {
            EmbeddingSize = embedding,
            Heads = keyHeads * random.Next(1, 4),
            KeyValueHeads = keyHeads,
            HeadSize = 4 * random.Next(1, 6),
            BatchInvariant = true,
            BatchFirst = random.Next(3) != 0,
            Softcap = random.Next(4) == 0 ? 0.8f : null,
            Window = random.Next(3) == 0 ? new AttentionWindow { Left = random.Next(20), Right = random.Next(5) } : null,
            Rotary = random.Next(2) == 0 ? new RotaryEmbedding() : null,
        };
    }

    private static MultiHeadAttentionWeights Weights(Random random, MultiHeadAttentionConfig config)
    {
        var plain = MultiHeadAttentionWeights.Random(config, random.Next(), bias: random.Next(2) == 0);
        bool hasNorm = random.Next(3) == 0;
        return new MultiHeadAttentionWeights
        {
            Query = plain.Query,
            Key = plain.Key,
            Value = plain.Value,
            Output = plain.Output,
            QueryBias = plain.QueryBias,
            KeyBias = plain.KeyBias,
            ValueBias = plain.ValueBias,
            OutputBias = plain.OutputBias,
            QueryNorm = hasNorm ? Data.Random(random, config.HeadSize!.Value) : null,
            KeyNorm = hasNorm ? Data.Random(random, config.HeadSize!.Value) : null,
            Sinks = random.Next(3) == 0 ? Data.Random(random, config.Heads) : null,
            AlibiSlopes = random.Next(4) == 0 ? Data.Random(random, config.Heads) : null,
            DistanceBias = random.Next(4) == 0 ? Data.Random(random, config.Heads, 9) : null,
        };
    }
}
