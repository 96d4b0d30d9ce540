using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>Batches whose new tokens form trees.</summary>
public class TreeTests
{
    private static readonly KeyValueCacheOptions _contiguous = new()
    {
        KeyValueHeads = TreeCalls.KeyValueHeads,
        HeadSize = TreeCalls.Size,
        Capacity = 120,
        Sequences = 6,
    };

    private static readonly KeyValueCacheOptions _paged = _contiguous with { Kind = KeyValueCacheKind.Paged, PageSize = 16 };

    /// <summary>
    /// Against attention with a mask and given positions, over rows of which some are NaN or infinite: they reach nobody who does not see
    /// them. 33 and 65 tokens have two and three words of ancestors; sequences have none or one, and no past.
    /// </summary>
    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Tokens_see_their_past_and_their_ancestors_alone(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var calls = new TreeCalls(Fuzz.Seed());
        foreach (KeyValueCacheOptions options in (KeyValueCacheOptions[])[_contiguous, _paged])
        {
            foreach (int[] lengths in (int[][])[[33, 1, 0, 65, 7], [2, 1, 1, 5, 3]])
            {
                foreach (Causal causal in Enum.GetValues<Causal>())
                {
                    using KeyValueCache cache = engine.CreateCache(options);
                    int[] past = [5, 0, 17, 40, 2];
                    KeyValueSequence[] sequences = [.. past.Select(_ => cache.Open())];
                    TreeRows before = calls.Rows(past);
                    using (KeyValueBatch batch = cache.Append(sequences, past))
                        calls.Attend(engine, batch, before, new AttentionOptions { Causal = Causal.BottomRight });
                    TreeRows rows = calls.Rows(lengths);
                    calls.Spoil(rows);
                    CacheTree tree = CacheTree.Random(calls.Random, lengths, past);
                    using KeyValueBatch drafts = cache.Append(sequences, lengths, tree.Parents);
                    var call = new AttentionOptions { Causal = causal, BatchInvariant = calls.Random.Next(2) == 0 };
                    Tensor<float> actual = calls.Attend(engine, drafts, rows, call);
                    Tensor<float> expected = calls.Expected(before, rows, tree, actual);
                    Close.Assert(expected, actual, $"{backend}, {options.Kind}, {causal}, seed {calls.Seed}");
                }
            }
        }
    }

    [Theory]
    [EveryDevice]
    public void A_chain_is_what_tokens_are_without_parents(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var calls = new TreeCalls(Fuzz.Seed());
        int[] lengths = [34, 1, 3];
        TreeRows[] rows = [calls.Rows([9, 0, 30]), calls.Rows(lengths)];
        Tensor<float>[] outputs = [.. ((bool[])[false, true]).Select(isTree =>
        {
            using KeyValueCache cache = engine.CreateCache(_paged);
            KeyValueSequence[] sequences = [.. lengths.Select(_ => cache.Open())];
            using (KeyValueBatch batch = cache.Append(sequences, rows[0].Lengths))
                calls.Attend(engine, batch, rows[0], new AttentionOptions { Causal = Causal.BottomRight });
            int[] chains = [.. lengths.SelectMany(length => Enumerable.Range(-1, length))];
            using KeyValueBatch last = cache.Append(sequences, lengths, isTree ? chains : []);
            return calls.Attend(engine, last, rows[1], new AttentionOptions { Causal = Causal.BottomRight });
        })];
        Close.Assert(outputs[0], outputs[1], $"{backend}, seed {calls.Seed}", 1e-6);
    }

    [Theory]
    [EveryDevice]
    public void A_path_that_is_kept_is_as_if_nothing_else_had_been_appended(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var calls = new TreeCalls(Fuzz.Seed());
        foreach (KeyValueElement element in Enum.GetValues<KeyValueElement>())
        {
            foreach (KeyValueCacheOptions options in (KeyValueCacheOptions[])[_contiguous, _paged])
            {
                using KeyValueCache cache = engine.CreateCache(options with { Element = element });
                KeyValueSequence drafted = cache.Open();
                int past = calls.Random.Next(1, 40);
                using (KeyValueBatch batch = cache.Append([drafted], [past]))
                    calls.Attend(engine, batch, calls.Rows([past]), AttentionOptions.CausalDefault);
                KeyValueSequence plain = drafted.Fork();
                TreeRows drafts = calls.Rows([50]);
                CacheTree tree = CacheTree.Random(calls.Random, [50], [past]);
                using (KeyValueBatch batch = cache.Append([drafted], [50], tree.Parents))
                    calls.Attend(engine, batch, drafts, AttentionOptions.CausalDefault);
                using KeyValueSequence fork = drafted.Fork();
                float[] forked = TreeCalls.Stored(fork);
                int[] path = tree.Path(49);
                using (KeyValueBatch batch = cache.Append([plain], [path.Length]))
                    calls.Attend(engine, batch, drafts.Some(path), AttentionOptions.CausalDefault);

                drafted.KeepPath(past, path);

                Assert.Equal(past + path.Length, drafted.Length);
                Assert.Equal(TreeCalls.Stored(plain), TreeCalls.Stored(drafted));
                Assert.Equal(forked, TreeCalls.Stored(fork));
                TreeRows next = calls.Rows([2]);
                Tensor<float>[] outputs = [.. ((KeyValueSequence[])[plain, drafted]).Select(sequence =>
                {
                    using KeyValueBatch batch = cache.Append([sequence], [2]);
                    return calls.Attend(engine, batch, next, AttentionOptions.CausalDefault);
                })];
                Close.Assert(outputs[0], outputs[1], $"{backend}, {element}, {options.Kind}, seed {calls.Seed}", 1e-6);
            }
        }
    }

    [Theory]
    [InlineData("simd")]
    [InlineData("ilgpu-cpu")]
    public void Each_path_through_a_layer_is_that_of_its_tokens_alone(string backend)
    {
        PathsAgree<float>(backend, Close.Tolerance);
        PathsAgree<Half>(backend, 4e-3);
    }

    /// <summary>The rotary embedding of the deepest token's length is taken, as without the other branches.</summary>
    [Fact]
    public void Rotary_tables_go_by_the_deepest_token()
    {
        using var engine = new AttentionEngine("simd");
        var config = new MultiHeadAttentionConfig
        {
            EmbeddingSize = 16,
            Heads = 2,
            Rotary = new RotaryEmbedding { Scaling = RotaryScaling.Dynamic(2, 10) },
        };
        using MultiHeadAttention<float> layer = new(engine, config, MultiHeadAttentionWeights.Random(config, 5));
        using KeyValueCache cache = engine.CreateCache(
            new KeyValueCacheOptions { KeyValueHeads = 2, HeadSize = 8, Capacity = 30, Sequences = 1 });
        using KeyValueSequence sequence = cache.Open();
        Tensor<float> prompt = Data.Random(new Random(7), 6, 16);
        Tensor<float> tokens = Data.Random(new Random(8), 12, 16);
        using (KeyValueBatch batch = cache.Append([sequence], [6]))
            layer.Forward(prompt, batch);
        using KeyValueBatch drafts = cache.Append([sequence], [12], [.. Enumerable.Repeat(-1, 12)]);
        Tensor<float> actual = layer.Forward(tokens, drafts);
        for (int token = 0; token < 12; token++)
        {
            using KeyValueCache other = engine.CreateCache(cache.Options);
            KeyValueSequence plain = other.Open();
            using (KeyValueBatch batch = other.Append([plain], [6]))
                layer.Forward(prompt, batch);
            using KeyValueBatch alone = other.Append([plain], [1]);
            Tensor<float> one = Tensor.Create(Data.Flat(tokens)[(token * 16)..((token + 1) * 16)], [1, 16]);
            Close.Assert(Data.Flat(layer.Forward(one, alone)), Data.Flat(actual)[(token * 16)..((token + 1) * 16)], $"token {token}");
        }
    }

    private static void PathsAgree<T>(string backend, double tolerance)
        where T : unmanaged, System.Numerics.INumber<T>
    {
        const int size = 24;
        const int drafts = 20;
        AttentionEngine engine = Engines.Get(backend);
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        var config = new MultiHeadAttentionConfig { EmbeddingSize = size, Heads = 6, KeyValueHeads = 2, Rotary = new RotaryEmbedding() };
        using MultiHeadAttention<T> layer = new(engine, config, MultiHeadAttentionWeights.Random(config, seed));
        KeyValueElement element = typeof(T) == typeof(Half) ? KeyValueElement.Float16 : KeyValueElement.Float32;
        using KeyValueCache cache = engine.CreateCache(
            _paged with { HeadSize = 4, Layers = 2, Element = element, Sequences = drafts + 1 });
        KeyValueSequence root = cache.Open();
        T[] numbers = [.. Data.Flat(Data.Random(random, drafts, size)).Select(T.CreateSaturating)];
        Tensor<T> prompt = Tensor.Create(numbers[..(6 * size)], [6, size]);
        using (KeyValueBatch batch = cache.Append([root], [6]))
            Forward(batch, prompt);
        CacheTree tree = CacheTree.Random(random, [drafts], [6]);
        KeyValueSequence[] forks = [.. Enumerable.Range(0, drafts).Select(_ => root.Fork())];
        using KeyValueBatch all = cache.Append([root], [drafts], tree.Parents);
        float[][] actual = Forward(all, Tensor.Create(numbers, [drafts, size]));
        for (int token = 0; token < drafts; token++)
        {
            int[] path = tree.Path(token);
            using KeyValueBatch alone = cache.Append([forks[token]], [path.Length]);
            float[][] expected = Forward(alone, Tensor.Create(Some(numbers, path), [path.Length, size]));
            for (int i = 0; i < expected.Length; i++)
                Close.Assert(expected[i], Some(actual[i], path), $"{backend}, {typeof(T).Name}, seed {seed}, token {token}", tolerance);
        }

        float[][] Forward(KeyValueBatch batch, Tensor<T> tokens) =>
            [.. Enumerable.Range(0, 2).Select(i => Data.Flat(layer.Forward(tokens, batch, i)).Select(float.CreateSaturating).ToArray())];

        static TNumber[] Some<TNumber>(TNumber[] rows, int[] tokens) =>
            [.. tokens.SelectMany(token => rows[(token * size)..((token + 1) * size)])];
    }
}
