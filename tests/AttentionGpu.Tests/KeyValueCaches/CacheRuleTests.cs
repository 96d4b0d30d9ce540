using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>What caches, sequences, batches and calls with them refuse, before anything is changed.</summary>
public class CacheRuleTests
{
    private static readonly KeyValueCacheOptions _options = new() { KeyValueHeads = 2, HeadSize = 4, Capacity = 20, Sequences = 3 };

    private static readonly KeyValueCacheOptions _paged = _options with { Kind = KeyValueCacheKind.Paged, PageSize = 16 };

    private static readonly KeyValueCacheOptions _window = _options with { Kind = KeyValueCacheKind.Window, Window = 5 };

    public static TheoryData<string, KeyValueCacheOptions> WrongOptions => new()
    {
        { "KeyValueHeads", _options with { KeyValueHeads = 0 } },
        { "HeadSize", _options with { HeadSize = 0 } },
        { "ValueHeadSize", _options with { ValueHeadSize = 0 } },
        { "ValueHeadSize", _options with { ValueHeadSize = 5, ValuesInKeys = true } },
        { "Layers", _options with { Layers = 0 } },
        { "Capacity", _options with { Capacity = 0 } },
        { "Capacity", _options with { Capacity = int.MaxValue } },
        { "Capacity", _paged with { Capacity = int.MaxValue } },
        { "Sequences", _options with { Sequences = 0 } },
        { "Element", _options with { Element = (KeyValueElement)9 } },
        { "Kind", _options with { Kind = (KeyValueCacheKind)9 } },
        { "PageSize", _options with { PageSize = 16 } },
        { "PageSize", _paged with { PageSize = 8 } },
        { "PageSize", _paged with { PageSize = 24 } },
        { "PageSize", _paged with { PageSize = 512 } },
        { "Pages", _options with { Pages = 4 } },
        { "Pages", _paged with { Pages = 0 } },
        { "Window", _options with { Window = 4 } },
        { "Window", _window with { Window = null } },
        { "Window", _window with { Window = 0 } },
        { "Window", _window with { Window = 21 } },
    };

    private delegate void ChangeInputs(ref AttentionInputs<float> inputs);

    private static AttentionEngine Engine => Engines.Get("simd");

    [Theory]
    [MemberData(nameof(WrongOptions))]
    public void Options_out_of_range_are_refused(string option, KeyValueCacheOptions options)
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(nameof(options), () => Engine.CreateCache(options));
        Assert.Contains($"'{option}'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sequences_and_numbers_that_do_not_fit_are_refused()
    {
        using KeyValueCache cache = Engine.CreateCache(_options);
        using KeyValueCache other = Engine.CreateCache(_options);
        KeyValueSequence one = cache.Open();
        KeyValueSequence two = cache.Open();
        KeyValueSequence gone = cache.Open();
        gone.Dispose();
        Assert.Throws<ArgumentException>("lengths", () => cache.Append([one, two], [1]));
        Assert.Throws<ArgumentException>("queryLengths", () => cache.Read([one], [1, 2]));
        Assert.Throws<ArgumentOutOfRangeException>("lengths", () => cache.Append([one], [-1]));
        Assert.Throws<ArgumentException>("sequences", () => cache.Append([one, other.Open()], [1, 1]));
        Assert.Throws<ArgumentException>("sequences", () => cache.Append([one, null!], [1, 1]));
        Assert.Throws<InvalidOperationException>(() => cache.Append([one, two, one], [1, 1, 1]));
        Assert.Throws<ObjectDisposedException>(() => cache.Append([one, gone], [1, 1]));
        Assert.Throws<KeyValueCacheFullException>(() => cache.Append([one, two], [1, 21]));

        // Nobody was left in a batch, and nothing was appended.
        using KeyValueBatch batch = cache.Append([one, two], [20, 0]);
        Assert.Equal([20, 0], [one.Length, two.Length]);
        Assert.Throws<InvalidOperationException>(() => one.Truncate(0));
        Assert.Throws<InvalidOperationException>(() => one.Fork());
        Assert.Throws<InvalidOperationException>(() => one.Spill());
        Assert.Throws<InvalidOperationException>(cache.Defragment);
        batch.Dispose();
        Assert.Equal(0, one.Length);
        Assert.Throws<ObjectDisposedException>(() => batch.Tokens);
        Assert.Throws<ArgumentOutOfRangeException>("length", () => one.Truncate(1));
        Assert.Throws<ArgumentOutOfRangeException>("length", () => one.Fork(-1));
        Assert.Throws<InvalidOperationException>(one.Restore);
    }

    [Fact]
    public void Parents_that_are_no_trees_are_refused()
    {
        using KeyValueCache cache = Engine.CreateCache(_options);
        using KeyValueCache window = Engine.CreateCache(_window);
        KeyValueSequence one = cache.Open();
        KeyValueSequence two = cache.Open();
        Assert.Throws<ArgumentException>("parents", () => cache.Append([one, two], [2, 1], [-1, -1]));
        Refused("Number 1", [2, 2], [-1, 1, -1, 0]);
        Refused("Number 2", [2, 2], [-1, 0, 0, 0]);
        Refused("Number 3", [2, 2], [-1, 0, -1, -2]);
        Refused("Number 3", [2, 2], [-1, 0, -1, 1]);
        Assert.Throws<ArgumentException>("parents", () => window.Append([window.Open()], [1], [-1]));
        Assert.Equal([0, 0], [one.Length, two.Length]);
        cache.Append([one, two], [2, 2], [-1, 0, -1, -1]).Dispose();

        void Refused(string number, int[] lengths, int[] parents)
        {
            var error = Assert.Throws<ArgumentOutOfRangeException>(
                nameof(parents), () => cache.Append([one, two], lengths, parents));
            Assert.Contains(number, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Calls_by_distance_are_refused_for_trees()
    {
        using KeyValueCache cache = Engine.CreateCache(_options);
        using KeyValueBatch batch = cache.Append([cache.Open()], [3], [-1, -1, 0]);
        Tensor<float> rows = Data.Random(new Random(1), 3, 2, 4);
        Tensor<float> table = Data.Random(new Random(1), 1, 2);
        Refused("options", (ref AttentionInputs<float> _) => { }, new AttentionOptions { Window = new AttentionWindow { Left = 5 } });
        Refused("alibiSlopes", (ref AttentionInputs<float> inputs) => inputs.AlibiSlopes = Data.Random(new Random(2), 2));
        Refused("distanceBias", (ref AttentionInputs<float> inputs) => inputs.DistanceBias = Data.Random(new Random(2), 2, 3));

        // The deepest token has position 1, in row 2.
        Refused("queryPositions", (ref AttentionInputs<float> inputs) => inputs.RotaryCosine = inputs.RotarySine = table);
        Tensor<float> longer = Data.Random(new Random(1), 2, 2);
        var last = new AttentionInputs<float>
        {
            Query = rows,
            Key = rows,
            Value = rows,
            Cache = batch,
            RotaryCosine = longer,
            RotarySine = longer,
        };
        Engine.ScaledDotProductAttention(last, new AttentionOutputs<float> { Output = Data.Poisoned(3, 2, 4) });

        void Refused(string argument, ChangeInputs change, AttentionOptions? options = null)
        {
            var error = Assert.ThrowsAny<ArgumentException>(() =>
            {
                var inputs = new AttentionInputs<float> { Query = rows, Key = rows, Value = rows, Cache = batch };
                change(ref inputs);
                Engine.ScaledDotProductAttention(inputs, new AttentionOutputs<float> { Output = Data.Poisoned(3, 2, 4) }, options);
            });
            Assert.Equal(argument, error.ParamName);
        }
    }

    [Fact]
    public void Paths_that_do_not_fit_are_refused()
    {
        using KeyValueCache cache = Engine.CreateCache(_paged with { Pages = 2, Capacity = 32 });
        KeyValueSequence one = cache.Open();
        using (KeyValueBatch batch = cache.Append([one], [8]))
            Run(Engine, batch, query: 8, key: 8, value: 8, output: 8);
        Assert.Throws<ArgumentOutOfRangeException>("length", () => one.KeepPath(9, []));
        Assert.Throws<ArgumentOutOfRangeException>("length", () => one.KeepPath(-1, []));
        Assert.Throws<ArgumentOutOfRangeException>("accepted", () => one.KeepPath(5, [0, 3]));
        Assert.Throws<ArgumentOutOfRangeException>("accepted", () => one.KeepPath(5, [-1]));
        Assert.Throws<ArgumentOutOfRangeException>("accepted", () => one.KeepPath(5, [1, 1]));
        Assert.Throws<ArgumentOutOfRangeException>("accepted", () => one.KeepPath(5, [2, 1]));
        Assert.Equal(8, one.Length);

        // The page is a fork's too, and the other one a third sequence's.
        using KeyValueSequence fork = one.Fork();
        KeyValueSequence other = cache.Open();
        using (KeyValueBatch batch = cache.Append([other], [3]))
            Run(Engine, batch);
        Assert.Throws<KeyValueCacheFullException>(() => one.KeepPath(5, [1, 2]));
        Assert.Equal(8, one.Length);
        one.KeepPath(5, [0, 1]);
        other.Dispose();
        one.KeepPath(5, [1]);
        Assert.Equal((6, 8, 2), (one.Length, fork.Length, cache.PagesInUse));

        using KeyValueCache window = Engine.CreateCache(_window);
        KeyValueSequence windowed = window.Open();
        window.Append([windowed], [0]).Dispose();
        using (KeyValueBatch batch = window.Append([windowed], [3]))
            Run(Engine, batch, options: new AttentionOptions { Window = new AttentionWindow { Left = 4 } });
        Assert.Throws<ArgumentOutOfRangeException>("accepted", () => windowed.KeepPath(1, [1]));
        windowed.KeepPath(1, [0]);
        Assert.Equal(2, windowed.Length);
    }

    [Fact]
    public void A_batch_that_has_ended_is_not_the_next_one()
    {
        using KeyValueCache cache = Engine.CreateCache(_options);
        KeyValueSequence one = cache.Open();
        KeyValueBatch first = cache.Append([one], [2]);
        first.Dispose();
        KeyValueBatch second = cache.Append([one], [3]);
        first.Dispose();
        Assert.Throws<ObjectDisposedException>(() => first.Tokens);
        Assert.Equal(3, second.Tokens);
        Assert.NotEqual(first, second);
        second.Dispose();
    }

    [Fact]
    public void A_sequence_that_is_disposed_of_in_a_batch_gives_its_rows_back_at_its_end()
    {
        using KeyValueCache cache = Engine.CreateCache(_paged with { Pages = 2 });
        KeyValueSequence one = cache.Open();
        using (cache.Append([one], [20]))
        {
            one.Dispose();
            Assert.Equal(2, cache.PagesInUse);
        }

        Assert.Equal(0, cache.PagesInUse);
    }

    [Fact]
    public void Calls_that_do_not_fit_the_batch_are_refused()
    {
        using KeyValueCache cache = Engine.CreateCache(_options);
        using KeyValueCache window = Engine.CreateCache(_window);
        KeyValueSequence one = cache.Open();
        using KeyValueBatch batch = cache.Append([one], [3]);
        Refused("query", batch, query: 2);
        Refused("query", batch, heads: 3);
        Refused("query", batch, size: 5);
        Refused("key", batch, key: 2);
        Refused("key", batch, key: 0);
        Refused("value", batch, value: 2);
        Refused("cacheLayer", batch, layer: 1);
        Refused("cacheLayer", batch, layer: -1);
        Refused("output", batch, output: 4);
        using KeyValueBatch windowed = window.Append([window.Open()], [3]);
        Refused("options", windowed);
        Refused("options", windowed, options: new AttentionOptions { Window = new AttentionWindow { Left = 5 } });
        Run(Engine, windowed, options: new AttentionOptions { Window = new AttentionWindow { Left = 4 } });

        // After all of it the batch serves.
        Run(Engine, batch);
        Assert.Throws<InvalidOperationException>(() => Run(Engine, batch));
        batch.Dispose();
        using KeyValueBatch read = cache.Read([one], [3]);
        Refused("key", read);
        Run(Engine, read, key: 0, value: 0);
        Run(Engine, read, key: 0, value: 0);
    }

    /// <summary>The batch has the lengths, and the cache the past.</summary>
    [Fact]
    public void Members_that_a_batch_says_are_refused()
    {
        using KeyValueCache cache = Engine.CreateCache(_options);
        using KeyValueBatch batch = cache.Append([cache.Open()], [3]);
        Tensor<float> rows = Data.Random(new Random(1), 3, 2, 4);
        Tensor<float> output = Data.Poisoned(3, 2, 4);
        Refused("cumulativeQueryLengths", (ref AttentionInputs<float> inputs) => inputs.CumulativeQueryLengths = [0, 3]);
        Refused("cumulativeKeyLengths", (ref AttentionInputs<float> inputs) => inputs.CumulativeKeyLengths = [0, 3]);
        Refused("keyLengths", (ref AttentionInputs<float> inputs) => inputs.KeyLengths = [3]);
        Refused("pastKey", (ref AttentionInputs<float> inputs) => inputs.PastKey = rows);
        Refused("pastValue", (ref AttentionInputs<float> inputs) => inputs.PastValue = rows);
        Refused("mask", (ref AttentionInputs<float> inputs) => inputs.Mask = Data.Random(new Random(2), 3));
        Assert.All(Data.Flat(output), value => Assert.True(float.IsNaN(value)));

        void Refused(string argument, ChangeInputs change)
        {
            var error = Assert.ThrowsAny<ArgumentException>(() =>
            {
                var inputs = new AttentionInputs<float> { Query = rows, Key = rows, Value = rows, Cache = batch };
                change(ref inputs);
                Engine.ScaledDotProductAttention(inputs, new AttentionOutputs<float> { Output = output });
            });
            Assert.Equal(argument, error.ParamName);
        }
    }

    [Fact]
    public void A_batch_of_another_engine_is_refused()
    {
        using var other = new AttentionEngine("reference");
        using KeyValueCache cache = Engine.CreateCache(_options);
        using KeyValueBatch batch = cache.Append([cache.Open()], [3]);
        Assert.Throws<ArgumentException>("cache", () => Run(other, batch));
    }

    [Fact]
    public void Files_that_do_not_fit_are_refused()
    {
        using KeyValueCache cache = Engine.CreateCache(_options);
        KeyValueSequence one = cache.Open();
        using (KeyValueBatch batch = cache.Append([one], [3]))
            Run(Engine, batch);
        var stream = new MemoryStream();
        one.Save(stream);
        byte[] file = stream.ToArray();
        foreach (KeyValueCacheOptions options in (KeyValueCacheOptions[])
            [_options with { KeyValueHeads = 1 }, _options with { HeadSize = 5 }, _options with { Layers = 2 },
                _options with { Capacity = 2 }, _options with { Element = KeyValueElement.Int8 }, _options with { ValuesInKeys = true }])
        {
            using KeyValueCache wrong = Engine.CreateCache(options);
            Assert.Throws<InvalidDataException>(() => wrong.Load(new MemoryStream(file)));
            Assert.Throws<ArgumentException>("cache", () => one.CopyTo(wrong));
            Assert.Equal(3, wrong.FreePages);
        }

        Assert.Throws<InvalidDataException>(() => cache.Load(new MemoryStream(file[..^1])));
        Assert.Throws<InvalidDataException>(() => cache.Load(new MemoryStream()));
        Assert.Equal(3, cache.Load(new MemoryStream(file)).Length);
        cache.Open();
        Assert.Throws<KeyValueCacheFullException>(() => cache.Load(new MemoryStream(file)));
        Assert.Throws<KeyValueCacheFullException>(() => cache.Open());
    }

    [Fact]
    public void A_disposed_cache_or_engine_is_refused()
    {
        var engine = new AttentionEngine("simd");
        KeyValueCache cache = engine.CreateCache(_options);
        KeyValueSequence one = cache.Open();
        KeyValueBatch batch = cache.Append([one], [3]);
        cache.Dispose();
        Assert.Throws<ObjectDisposedException>(() => Run(engine, batch));
        batch.Dispose();
        Assert.Throws<ObjectDisposedException>(() => cache.Open());
        Assert.Throws<ObjectDisposedException>(() => cache.Append([one], [1]));
        Assert.Throws<ObjectDisposedException>(() => one.Fork());
        one.Dispose();
        Assert.Equal(0, engine.MemoryInUse);
        engine.Dispose();
        Assert.Throws<ObjectDisposedException>(() => engine.CreateCache(_options));
    }

    [Fact]
    public void Memory_that_is_missing_leaves_nothing_behind()
    {
        using var engine = new AttentionEngine("simd", new AttentionEngineOptions { MemoryLimitBytes = 1 << 20 });
        Assert.Throws<AttentionMemoryException>(() => engine.CreateCache(_options with { Layers = 3, Capacity = 10_000 }));
        Assert.Equal(0, engine.MemoryInUse);
        using KeyValueCache cache = engine.CreateCache(_options);
        Assert.True(engine.MemoryInUse >= cache.ByteLength);
    }

    private static void Refused(
        string argument, KeyValueBatch batch, int query = 3, int heads = 2, int size = 4, int key = 3, int value = 3, int output = 3,
        int layer = 0, AttentionOptions? options = null)
    {
        var error = Assert.ThrowsAny<ArgumentException>(
            () => Run(Engine, batch, query, heads, size, key, value, output, layer, options));
        Assert.Equal(argument, error.ParamName);
    }

    private static void Run(
        AttentionEngine engine, KeyValueBatch batch, int query = 3, int heads = 2, int size = 4, int key = 3, int value = 3, int output = 3,
        int layer = 0, AttentionOptions? options = null)
    {
        var random = new Random(1);
        Tensor<float> result = Data.Poisoned(output, heads, 4);
        engine.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = Data.Random(random, query, heads, size),
                Key = key == 0 ? default(TensorInput<float>) : Data.Random(random, key, 2, size),
                Value = value == 0 ? default(TensorInput<float>) : Data.Random(random, value, 2, 4),
                Cache = batch,
                CacheLayer = layer,
            },
            new AttentionOutputs<float> { Output = result },
            options);
        Assert.DoesNotContain(float.NaN, Data.Flat(result));
    }
}
