using System.Numerics.Tensors;
using AttentionGpu.KeyValueCaches;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>Rows that sequences share are attended to once for all of them.</summary>
public class SharedPrefixTests
{
    private const int Heads = 4;
    private const int KeyValueHeads = 2;
    private const int Size = 8;

    private static readonly KeyValueCacheOptions _paged = new()
    {
        KeyValueHeads = KeyValueHeads,
        HeadSize = Size,
        Kind = KeyValueCacheKind.Paged,
        PageSize = 16,
        Capacity = 1000,
        Sequences = 12,
    };

    [Theory]
    [EveryDevice]
    public void Outputs_are_those_without_sharing(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var random = new Random(Fuzz.Seed());
        foreach (KeyValueElement element in (KeyValueElement[])[KeyValueElement.Float32, KeyValueElement.Int8])
        {
            using KeyValueCache shared = engine.CreateCache(_paged with { Element = element });
            using KeyValueCache apart = engine.CreateCache(
                _paged with { Element = element, Kind = KeyValueCacheKind.Contiguous, PageSize = null });
            KeyValueSequence[][] sequences = [Family(engine, shared, 17), Family(engine, apart, 17)];
            int[] lengths = [.. sequences[0].Select(_ => random.Next(4))];
            lengths[1] = 2;
            foreach ((bool appends, bool isTree) in ((bool, bool)[])[(true, false), (true, true), (false, false)])
            {
                int tokens = lengths.Sum();
                Tensor<float> query = Data.Random(random, tokens, Heads, Size);
                Tensor<float> key = Data.Random(random, tokens, KeyValueHeads, Size);
                Tensor<float> value = Data.Random(random, tokens, KeyValueHeads, Size);
                Tensor<float> sinks = Data.Random(random, Heads);
                Tensor<float>[] outputs = [Data.Poisoned(tokens, Heads, Size), Data.Poisoned(tokens, Heads, Size)];
                Tensor<float>[] sums = [Data.Poisoned(Heads, tokens), Data.Poisoned(Heads, tokens)];
                int[] parents = isTree ? CacheTree.Random(random, lengths, lengths).Parents : [];
                for (int i = 0; i < 2; i++)
                {
                    KeyValueCache cache = i == 0 ? shared : apart;
                    using KeyValueBatch batch = appends ? cache.Append(sequences[i], lengths, parents) : cache.Read(sequences[i], lengths);
                    engine.ScaledDotProductAttention(
                        new AttentionInputs<float>
                        {
                            Query = query,
                            Key = appends ? key : default(TensorInput<float>),
                            Value = appends ? value : default(TensorInput<float>),
                            Cache = batch,
                            Sinks = sinks,
                        },
                        new AttentionOutputs<float> { Output = outputs[i], LogSumExp = sums[i] });
                }

                Close.Assert(outputs[1], outputs[0], $"{backend} {element} {appends} {isTree}");
                Close.Assert(sums[1], sums[0], $"{backend} {element} {appends} {isTree}");
            }
        }
    }

    [Fact]
    public void Neighbours_that_share_enough_rows_are_a_group()
    {
        using KeyValueCache cache = Engines.Get("simd").CreateCache(_paged);
        KeyValueSequence[] sequences = Family(Engines.Get("simd"), cache, 3);
        using KeyValueBatch batch = cache.Append(sequences, [.. sequences.Select(_ => 1)]);

        // They share 280 rows, of which 17 pages are full.
        Assert.Equal(272, SharedPrefix.Find(batch.State, 0, out int end));
        Assert.Equal(5, end);
        Assert.Equal(0, SharedPrefix.Find(batch.State, 5, out int alone));
        Assert.Equal(6, alone);
    }

    // A root of 280 rows and forks of it, then a sequence of its own.
    private static KeyValueSequence[] Family(AttentionEngine engine, KeyValueCache cache, int seed)
    {
        var random = new Random(seed);
        KeyValueSequence root = cache.Open();
        Fill(engine, cache, root, random, 280);
        KeyValueSequence other = cache.Open();
        Fill(engine, cache, other, random, 40);
        return [root, root.Fork(), root.Fork(), root.Fork(), root.Fork(), other];
    }

    // Each query sees its own key alone, so that the long prefill costs little.
    private static void Fill(AttentionEngine engine, KeyValueCache cache, KeyValueSequence sequence, Random random, int length)
    {
        using KeyValueBatch batch = cache.Append([sequence], [length]);
        engine.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = Data.Random(random, length, KeyValueHeads, Size),
                Key = Data.Random(random, length, KeyValueHeads, Size),
                Value = Data.Random(random, length, KeyValueHeads, Size),
                Cache = batch,
            },
            new AttentionOutputs<float> { Output = Data.Poisoned(length, KeyValueHeads, Size) },
            new AttentionOptions { Window = new AttentionWindow { Left = 0, Right = 0 } });
    }
}
