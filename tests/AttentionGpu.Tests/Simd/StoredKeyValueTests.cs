using AttentionGpu.Backends.Simd;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>
/// Keys and values of every element type, contiguous, in pages and as latent rows, against float64 attention to the numbers that they stand
/// for.
/// </summary>
public sealed class StoredKeyValueTests : IDisposable
{
    private static readonly bool[] _latent = [false, true];

    private const int KeyValueHeads = 2;
    private const int PageShift = 4;

    private static readonly KeyValueElement[] _elements = Enum.GetValues<KeyValueElement>();

    // Head sizes, queries that share a head, and the sequences' queries and keys: few and many, parts and single ones. Parts of few queries
    // that share a head in rows of one, two and four vectors, and in two blocks of rows.
    private static readonly Case[] _cases =
    [
        new(1, 1, 1, [1, 0, 3], [1100, 5, 40]),
        new(13, 13, 4, [1, 1, 2, 1], [1, 17, 40, 1100]),
        new(33, 20, 3, [2, 25, 1], [100, 90, 1041]),
        new(64, 64, 1, [1, 1, 18], [1025, 33, 50]),
        new(96, 64, 12, [1, 3], [1060, 64]),
        new(128, 128, 2, [1, 40], [1024, 100]),
        new(576, 512, 9, [1], [70]),
        new(40, 56, 4, [16, 3], [1300, 1200]),
        new(24, 20, 12, [2], [1100]),
        new(20, 24, 5, [16, 4], [1111, 2060]),
    ];

    private readonly PlanMemory _memory = new();

    public void Dispose() => _memory.Dispose();

    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void Every_form_agrees_with_float64_attention(int width)
    {
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        using var backend = new SimdBackend(width, threads: 3);
        foreach (Case one in _cases)
        {
            foreach (KeyValueForm form in Forms(one))
                Check(backend, one, form, random, damage: null, $"seed {seed}, {width} bits, {one}, {form}");
        }
    }

    /// <summary>A visible row with an element that is not finite makes its readers NaN; one that is hidden changes nothing.</summary>
    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void Rows_that_are_not_finite_are_seen_by_their_readers_alone(int width)
    {
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        using var backend = new SimdBackend(width, threads: 3);
        var one = new Case(40, 40, 2, [1, 3, 20], [70, 1100, 50]);
        foreach (KeyValueForm form in Forms(one))
        {
            foreach (float value in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
            {
                // The last key of each sequence, which its last query alone sees.
                Check(
                    backend, one, form, random, (tensor, last) => tensor.Set(1, last, [.. Enumerable.Repeat(value, 40)]),
                    $"seed {seed}, {width} bits, {form}, {value}");
            }
        }
    }

    /// <summary>A code that no row of ours has, but a file can: the NaN of E4M3, and those of 16 bits between numbers.</summary>
    [Theory]
    [InlineData(KeyValueElement.Float8E4M3, 0x7F)]
    [InlineData(KeyValueElement.Float8E4M3, 0xFF)]
    [InlineData(KeyValueElement.Float16, 0x7C)]
    [InlineData(KeyValueElement.Float16, 0xFE)]
    public void Codes_that_are_no_numbers_stay_what_they_are(KeyValueElement element, byte code)
    {
        using var backend = new SimdBackend(threads: 2);
        foreach (int offset in new[] { 1, 37 })
        {
            Check(
                backend, new Case(40, 40, 4, [1, 3], [70, 1100]), new KeyValueForm(element), new Random(offset),
                (tensor, last) => tensor.SetCode(0, last, offset, code), $"{element}, {code}, {offset}");
        }
    }

    [Fact]
    public void Scores_of_every_form_agree_with_float64()
    {
        var random = new Random(5);
        using var backend = new SimdBackend(threads: 2);
        var one = new Case(33, 20, 3, [20], [200]);
        foreach (KeyValueForm form in Forms(one))
        {
            foreach (ScoreStage stage in new[] { ScoreStage.Products, ScoreStage.Weights })
                Check(backend, one, form, random, null, $"{form}, {stage}", stage);
        }
    }

    private static IEnumerable<KeyValueForm> Forms(Case one) =>
        from element in _elements
        from rows in Enum.GetValues<KeyValueRows>()
        from isLatent in _latent
        where !isLatent || one.ValueSize <= one.HeadSize
        select new KeyValueForm(element, rows, isLatent);

    private void Check(
        SimdBackend backend, Case one, KeyValueForm form, Random random, Action<StoredTensor, int>? damage, string context,
        ScoreStage? stage = null)
    {
        int heads = KeyValueHeads * one.GroupSize;
        int[] starts = Starts(one.Keys, out int rows);
        StoredTensor keys = Fill(random, form, rows, one.HeadSize);
        StoredTensor values = form.IsLatent ? keys : Fill(random, form, rows, one.ValueSize, keys.Pages);
        Sequence[] sequences = [.. one.Keys.Select((count, i) => new Sequence
        {
            QueryStart = one.Queries[..i].Sum(),
            QueryLength = one.Queries[i],
            KeyStart = starts[i],
            KeyLength = count,
            CausalOffset = count - one.Queries[i],
        })];
        foreach (Sequence sequence in sequences)
        {
            damage?.Invoke(keys, sequence.KeyStart + sequence.KeyLength - 1);
            if (!form.IsLatent)
                damage?.Invoke(values, sequence.KeyStart + sequence.KeyLength - 1);
        }

        int tokens = one.Queries.Sum();
        float[] queries = Floats(random, heads * tokens * one.HeadSize);
        var signature = new AttentionSignature
        {
            Element = ElementType.Float32,
            KeyValue = form,
            HeadSize = one.HeadSize,
            ValueHeadSize = one.ValueSize,
            GroupSize = one.GroupSize,
            Causal = CausalKind.Causal,
            HasSequences = stage is null,
            HasLogSumExp = stage is null,
            Scores = stage,
        };
        int outputs = heads * tokens * one.ValueSize;
        int scores = stage is null ? 0 : heads * tokens * one.Keys[0];
        var buffers = new AttentionBuffers
        {
            Query = _memory.Of(ElementType.Float32, queries),
            Key = keys.Memory(),
            KeyScales = keys.Scales(),
            Value = values.Memory(),
            ValueScales = values.Scales(),
            Pages = _memory.Values(keys.Pages),
            Sequences = _memory.Values(sequences),
            Output = _memory.Poisoned(ElementType.Float32, outputs),
            LogSumExp = _memory.Poisoned(ElementType.Float32, heads * tokens),
            Scores = _memory.Poisoned(ElementType.Float32, scores),
        };
        var extent = new AttentionExtent
        {
            Batch = sequences.Length,
            Heads = heads,
            KeyValueHeads = KeyValueHeads,
            Scale = 0.3f,
            Query = new TensorLayout(0, (long)tokens * one.HeadSize, one.HeadSize),
            Key = keys.Layout,
            Value = values.Layout,
            PageShift = PageShift,
            Output = new TensorLayout(0, (long)tokens * one.ValueSize, one.ValueSize),
            LogSumExp = new TensorLayout(0, tokens, 1),
            Sequence = stage is null
                ? new Sequence { QueryLength = one.Queries.Max(), KeyLength = one.Keys.Max() }
                : sequences[0],
        };
        _memory.Run(backend.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(signature), extent, buffers);
        (float[] output, float[] logSumExp, float[] expectedScores) = Expected(one, heads, sequences, queries, keys, values, stage);
        Close.Assert(output, PlanMemory.Read(buffers.Output, ElementType.Float32, outputs), context);
        if (stage is null)
            Close.Assert(logSumExp, PlanMemory.Read(buffers.LogSumExp, ElementType.Float32, logSumExp.Length), context + ", log-sum-exp");
        else
            Close.Assert(expectedScores, PlanMemory.Read(buffers.Scores, ElementType.Float32, scores), context + ", scores");
    }

    // Each sequence begins at a page, behind a page of others'.
    private static int[] Starts(int[] keys, out int rows)
    {
        const int page = 1 << PageShift;
        rows = page;
        var starts = new int[keys.Length];
        for (int i = 0; i < keys.Length; i++)
        {
            starts[i] = rows;
            rows += (keys[i] + 2 * page - 1) / page * page;
        }

        return starts;
    }

    private StoredTensor Fill(Random random, KeyValueForm form, int rows, int size, int[]? pages = null)
    {
        var tensor = new StoredTensor(
            _memory, form, KeyValueHeads, rows, size, pages ?? StoredTensor.ShuffledPages(random, form, rows, PageShift), PageShift);
        for (int head = 0; head < KeyValueHeads; head++)
        {
            for (int row = 0; row < rows; row++)
                tensor.Set(head, row, Floats(random, size));
        }

        return tensor;
    }

    private static float[] Floats(Random random, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => (float)(2.0 * random.NextDouble() - 1.0))];

    private static (float[] Output, float[] LogSumExp, float[] Scores) Expected(
        Case one, int heads, Sequence[] sequences, float[] queries, StoredTensor keys, StoredTensor values, ScoreStage? stage)
    {
        int tokens = one.Queries.Sum();
        var output = new float[heads * tokens * one.ValueSize];
        var logSumExp = new float[heads * tokens];
        var scores = new float[heads * tokens * one.Keys[0]];
        for (int head = 0; head < heads; head++)
        {
            foreach (Sequence sequence in sequences)
            {
                for (int query = 0; query < sequence.QueryLength; query++)
                {
                    int row = head * tokens + sequence.QueryStart + query;
                    int visible = query + sequence.CausalOffset + 1;
                    var products = new double[sequence.KeyLength];
                    for (int key = 0; key < products.Length; key++)
                        products[key] = 0.3f * Dot(queries.AsSpan(row * one.HeadSize, one.HeadSize), Row(keys, key));
                    double maximum = products[..visible].Max();
                    double total = 0.0;
                    var sums = new double[one.ValueSize];
                    for (int key = 0; key < visible; key++)
                    {
                        double weight = Math.Exp(products[key] - maximum);
                        total += weight;
                        double[] value = Row(values, key);
                        for (int i = 0; i < sums.Length; i++)
                            sums[i] += weight * value[i];
                    }

                    logSumExp[row] = (float)(maximum + Math.Log(total));
                    for (int i = 0; i < sums.Length; i++)
                        output[row * one.ValueSize + i] = (float)(sums[i] / total);
                    for (int key = 0; stage is not null && key < sequence.KeyLength; key++)
                    {
                        scores[row * one.Keys[0] + key] = stage == ScoreStage.Products ? (float)products[key]
                            : key < visible ? (float)(Math.Exp(products[key] - maximum) / total)
                            : 0f;
                    }

                    double[] Row(StoredTensor of, int key) => of.Row(head / one.GroupSize, sequence.KeyStart + key);
                }
            }
        }

        return (output, logSumExp, scores);
    }

    private static double Dot(ReadOnlySpan<float> left, double[] right)
    {
        double sum = 0.0;
        for (int i = 0; i < left.Length; i++)
            sum += left[i] * right[i];
        return sum;
    }

    private sealed record Case(int HeadSize, int ValueSize, int GroupSize, int[] Queries, int[] Keys);
}
