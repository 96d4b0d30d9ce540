using AttentionGpu.Backends.Simd;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Batches;

/// <summary>A batch-invariant request of attention has the same bits alone, dense, and at each place of each form of a batch.</summary>
public class BatchInvariantAttentionTests
{
    private const int FewThreads = 1;
    private const int ManyThreads = 16;

    // More keys than two parts of fixed size.
    private const int ManyKeys = 2500;

    // More keys than stay in L2 beside their values, and more blocks of queries than one.
    private const int ChunkQueries = 150;
    private const int ChunkKeys = 2300;
    private const int ChunkSize = 128;

    private static readonly int[] _batches = [2, 3, 7];

    // The emulator is slow.
    private static readonly int[] _smallBatches = [2, 3];

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_request_has_the_same_bits_in_every_batch(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        int drawn = System.Random.Shared.Next();
        for (int seed = drawn; seed < drawn + (Engines.IsDriver(device) ? 1 : 3); seed++)
            AssertSame(seed, engine, engine, _smallBatches, mostQueries: 9, mostKeys: 30);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void The_processor_keeps_them_at_every_width_and_number_of_threads(int width)
    {
        using var alone = new AttentionEngine(new SimdBackend(width, FewThreads));
        using var together = new AttentionEngine(new SimdBackend(width, ManyThreads));
        for (int seed = 100; seed < 110; seed++)
            AssertSame(seed, alone, together, _batches, mostQueries: 100, mostKeys: 300);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(70)]
    public void The_processor_keeps_them_where_keys_are_split_for_threads(int queries)
    {
        using var alone = new AttentionEngine(new SimdBackend(threads: FewThreads));
        using var together = new AttentionEngine(new SimdBackend(threads: ManyThreads));
        RequestKind kind = Plain(heads: 1, headSize: 8, batchInvariant: true);
        var requests = new AttentionRequests<float>(kind);
        var random = new Random(queries);
        AttentionRequestData<float>[] all =
        [
            requests.Create(random, queries, ManyKeys), requests.Create(random, queries, 1024), requests.Create(random, queries, 1025),
            requests.Create(random, queries, 3), requests.Create(random, queries, 0),
        ];
        AssertSame(requests, all, alone, together, BatchForm.KeyLengths, $"{queries} queries");
        AssertSame(
            requests, [.. all, requests.Create(random, 200, 40), requests.Create(random, 0, 12)], alone, together, BatchForm.Ragged,
            $"{queries} queries beside 200");
    }

    [Fact]
    public void The_processor_keeps_them_where_blocks_of_queries_share_chunks_of_keys()
    {
        using var alone = new AttentionEngine(new SimdBackend(threads: FewThreads));
        using var together = new AttentionEngine(new SimdBackend(threads: ManyThreads));
        var requests = new AttentionRequests<float>(Plain(heads: 1, headSize: ChunkSize, batchInvariant: true));
        var random = new Random(9);
        AttentionRequestData<float>[] all = [.. Enumerable.Range(0, 2).Select(_ => requests.Create(random, ChunkQueries, ChunkKeys))];
        foreach (BatchForm form in Enum.GetValues<BatchForm>())
            AssertSame(requests, all, alone, together, form, form.ToString());
    }

    /// <summary>
    /// What the option is for: many queries differ, so the comparisons above can. Few queries are split by their own lengths always.
    /// </summary>
    [Fact]
    public void Without_the_option_the_processor_splits_many_queries_by_their_batch()
    {
        using var engine = new AttentionEngine(new SimdBackend(threads: ManyThreads));
        Assert.False(IsSame(engine, Plain(heads: 1, headSize: 8, batchInvariant: false), [(40, ManyKeys), (40, 40)], BatchForm.Ragged));
        Assert.True(IsSame(engine, Plain(heads: 1, headSize: 8, batchInvariant: true), [(40, ManyKeys), (40, 40)], BatchForm.Ragged));
        Assert.True(IsSame(engine, Plain(heads: 1, headSize: 8, batchInvariant: false), [(1, ManyKeys), (1, 40)], BatchForm.Ragged));
        Assert.True(IsSame(engine, Plain(heads: 1, headSize: 8, batchInvariant: true), [(1, ManyKeys), (1, 40)], BatchForm.Ragged));
        Assert.True(IsSame(engine, Plain(heads: 1, headSize: 8, batchInvariant: true), [(2, 300), (200, 300)], BatchForm.Ragged));
    }

    private static bool IsSame(AttentionEngine engine, RequestKind kind, (int Queries, int Keys)[] lengths, BatchForm form)
    {
        var requests = new AttentionRequests<float>(kind);
        var random = new Random(4);
        AttentionRequestData<float>[] all = [.. lengths.Select(one => requests.Create(random, one.Queries, one.Keys))];
        RequestResult<float>[] results = requests.Run(engine, all, form);
        return all.Zip(results).All(pair =>
            Bits.AreSame<float>(requests.Run(engine, [pair.First], BatchForm.Dense)[0].Output, pair.Second.Output));
    }

    private static void AssertSame(int seed, AttentionEngine alone, AttentionEngine together, int[] batches, int mostQueries, int mostKeys)
    {
        Engines.ForElements(
            alone.Device.Name, seed,
            () => AssertSame<float>(seed, alone, together, batches, mostQueries, mostKeys),
            () => AssertSame<Half>(seed, alone, together, batches, mostQueries, mostKeys),
            () => AssertSame<BFloat16>(seed, alone, together, batches, mostQueries, mostKeys));
    }

    private static void AssertSame<T>(
        int seed, AttentionEngine alone, AttentionEngine together, int[] batches, int mostQueries, int mostKeys)
        where T : unmanaged
    {
        var random = new Random(seed);
        RequestKind kind = Random(random, mostQueries + mostKeys);
        var requests = new AttentionRequests<T>(kind);
        foreach (BatchForm form in Enum.GetValues<BatchForm>())
        {
            if (form == BatchForm.Ragged && (kind.HasMask || kind.HasWeights))
                continue;
            int count = batches[random.Next(batches.Length)];
            (int queries, int keys) = (random.Next(1, mostQueries), random.Next(1, mostKeys));
            AttentionRequestData<T>[] all = [.. Enumerable.Range(0, count).Select(_ => form switch
            {
                BatchForm.Dense => requests.Create(random, queries, keys),
                BatchForm.KeyLengths => requests.Create(random, queries, random.Next(mostKeys)),
                _ => requests.Create(random, random.Next(3) == 0 ? random.Next(4) : random.Next(mostQueries), random.Next(mostKeys)),
            })];
            AssertSame(requests, all, alone, together, form, $"seed {seed}, {typeof(T).Name}, {form} of {count}, {kind}");
        }
    }

    // Each request at each place.
    private static void AssertSame<T>(
        AttentionRequests<T> requests, AttentionRequestData<T>[] all, AttentionEngine alone, AttentionEngine together, BatchForm form,
        string context)
        where T : unmanaged
    {
        RequestResult<T>[] expected = [.. all.Select(request => requests.Run(alone, [request], BatchForm.Dense)[0])];
        for (int shift = 0; shift < all.Length; shift++)
        {
            RequestResult<T>[] results = requests.Run(together, [.. all[shift..], .. all[..shift]], form);
            for (int place = 0; place < all.Length; place++)
            {
                int request = (place + shift) % all.Length;
                string what = $"{context}, request of {all[request].Queries} queries and {all[request].Keys} keys at place {place}";
                Bits.AssertSame<T>(expected[request].Output, results[place].Output, what);
                Bits.AssertSame<float>(expected[request].LogSumExp, results[place].LogSumExp, $"log-sum-exp, {what}");
                Bits.AssertSame<T>(expected[request].Weights, results[place].Weights, $"weights, {what}");
            }
        }
    }

    private static RequestKind Plain(int heads, int headSize, bool batchInvariant) => new()
    {
        Heads = heads,
        KeyValueHeads = heads,
        HeadSize = headSize,
        ValueSize = headSize,
        Options = new AttentionOptions { BatchInvariant = batchInvariant },
    };

    private static RequestKind Random(Random random, int positions)
    {
        int keyHeads = random.Next(1, 3);
        int heads = keyHeads * random.Next(1, 4);
        int headSize = 2 * random.Next(1, 12);
        return new RequestKind
        {
            Heads = heads,
            KeyValueHeads = keyHeads,
            HeadSize = headSize,
            ValueSize = random.Next(1, 40),
            Options = new AttentionOptions
            {
                BatchInvariant = true,
                Causal = (Causal)random.Next(3),
                Softcap = random.Next(4) == 0 ? 0.7f : null,
                Window = random.Next(3) == 0
                    ? new AttentionWindow { Left = random.Next(40), Right = random.Next(9), Alignment = (QueryAlignment)random.Next(2) }
                    : null,
            },
            Sinks = random.Next(3) == 0 ? Data.Random(random, heads) : null,
            Slopes = random.Next(4) == 0 ? Data.Random(random, heads) : null,
            DistanceBias = random.Next(4) == 0 ? Data.Random(random, heads, 9) : null,
            Norm = random.Next(4) == 0 ? Data.Random(random, headSize) : null,
            Angles = random.Next(3) == 0 ? Data.Random(random, positions, headSize / 2) : null,
            HasMask = random.Next(5) == 0,
            HasWeights = random.Next(5) == 0,
        };
    }
}
