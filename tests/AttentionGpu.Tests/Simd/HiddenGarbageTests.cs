using System.Numerics.Tensors;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Simd;

/// <summary>
/// Hidden keys take no part, whatever is in their memory. Some keys and values of a problem are garbage: rows that see none of it have the
/// result of the problem without garbage, rows that see any are NaN, or infinite.
/// </summary>
public class HiddenGarbageTests
{
    private const int Problems = 150;
    private const int MaxLength = 70;

    private static readonly string[] _factors =
    [
        "element type", "causal", "prefix", "window", "softcap", "ALiBi", "distance bias", "sinks", "mask", "documents", "sequences",
        "layout", "grouped heads", "value head size", "normalisation", "rotary embedding", "scores", "log-sum-exp", "few queries",
    ];

    /// <summary>All ways of hiding keys together, at every width.</summary>
    [Fact]
    public void Garbage_reaches_only_the_rows_that_see_it()
    {
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        AttentionEngine[] engines = [.. SimdRuns.Widths.Select(width => new AttentionEngine(new SimdBackend(width, threads: 1)))];
        int clean = 0;
        for (int i = 0; i < Problems; i++)
        {
            VariantKind kind;
            do
                kind = VariantKind.Draw(random, _factors);
            while (!kind.IsValid || kind.Scores is ScoreStage.Products or ScoreStage.Softcapped);
            var problem = VariantCase.Create(kind, random, MaxLength);
            clean += AssertRows(problem, random, 5, engines[i % engines.Length], $"seed {seed}, problem {i}: {kind}, {problem.Options}");
        }

        Assert.True(clean > 0, "No row that garbage could have reached was free of it.");
        foreach (AttentionEngine engine in engines)
            engine.Dispose();
    }

    /// <summary>Keys that are split among threads: what a part has summed up is not finite, and its row is.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(17)]
    public void Garbage_stays_hidden_where_keys_are_split(int queries)
    {
        var random = new Random(queries);
        string[][] kinds =
        [
            ["causal, bottom right"], ["window to both sides"], ["boolean mask"], ["additive mask with -inf"], ["documents"],
            ["causal, top left", "prefix"], ["ragged sequences", "causal, bottom right"], ["bfloat16", "boolean mask", "sinks"],
        ];
        int clean = 0;
        foreach (int width in SimdRuns.Widths)
        {
            using var engine = new AttentionEngine(new SimdBackend(width, threads: 16));
            foreach (string[] choices in kinds)
            {
                var kind = VariantKind.With([.. choices, "log-sum-exp", "grouped heads"]);
                bool ragged = kind.Sequences == SequenceForm.Ragged;
                var sizes = new VariantSizes(1, 2, 2, 3, 5, ragged ? [queries, 0, 1] : [queries], ragged ? [800, 40, 3] : [800], 1);
                clean += AssertRows(VariantCase.Create(kind, random, sizes), random, 400, engine, $"{width} bits, {kind}");
            }
        }

        Assert.True(clean > 0, "No row that garbage could have reached was free of it.");
    }

    /// <summary>
    /// A value that is NaN in the last place of a vector, of a block and of a chunk: the diagonal hides it from all before.
    /// </summary>
    [Theory]
    [InlineData(3)]
    [InlineData(40)]
    [InlineData(300)]
    public void A_value_that_only_the_last_query_sees_reaches_only_it(int length)
    {
        foreach (int width in SimdRuns.Widths)
        {
            using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
            var values = new float[length];
            Array.Fill(values, 2f);
            values[^1] = float.NaN;
            Tensor<float> zeros = Tensor.Create(new float[length], [1, 1, length, 1]);
            Tensor<float> output = Data.Poisoned(1, 1, length, 1);
            engine.ScaledDotProductAttention<float>(
                zeros, zeros, Tensor.Create(values, [1, 1, length, 1]), output, new AttentionOptions { Causal = Causal.TopLeft });
            float[] actual = Data.Flat(output);
            Assert.All(actual[..^1], value => Assert.Equal(2.0, value, 1e-6));
            Assert.Equal(float.NaN, actual[^1]);
        }
    }

    /// <summary>Scores and averages of them: a hidden key weighs exactly 0, also beside visible ones that are NaN.</summary>
    [Theory]
    [InlineData(ScoreStage.Weights, 0f)]
    [InlineData(ScoreStage.AverageWeights, 0f)]
    [InlineData(ScoreStage.Masked, float.NegativeInfinity)]
    public void A_hidden_key_weighs_nothing_beside_a_visible_one_that_is_not_a_number(ScoreStage stage, float hidden)
    {
        foreach (int width in SimdRuns.Widths)
        {
            using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
            nint[] lengths = stage == ScoreStage.AverageWeights ? [1, 1, 3] : [1, 1, 1, 3];
            Tensor<float> scores = Data.Poisoned(lengths);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float>
                {
                    Query = Tensor.Create([1f], [1, 1, 1, 1]),
                    Key = Tensor.Create([1f, float.NaN, float.NaN], [1, 1, 3, 1]),
                    Value = Tensor.Create([1f, 1f, 1f], [1, 1, 3, 1]),
                    Mask = Tensor.Create([true, true, false], [3]),
                },
                new AttentionOutputs<float> { Output = Data.Poisoned(1, 1, 1, 1), Scores = scores, ScoreStage = stage });
            float[] actual = Data.Flat(scores);
            Assert.Equal(float.NaN, actual[1]);
            Assert.Equal(hidden, actual[2]);
        }
    }

    /// <summary>
    /// Padding tokens of garbage, as in memory that nobody has written: the others have the outputs of a call without them.
    /// </summary>
    [Theory]
    [InlineData(5, 3)]
    [InlineData(50, 31)]
    public void Garbage_in_padding_rows_does_not_pass_a_layer(int length, int visible)
    {
        using var engine = new AttentionEngine(SimdBackend.Name);
        var config = new MultiHeadAttentionConfig { EmbeddingSize = 8, Heads = 2 };
        using var layer = new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(config, 1));
        var random = new Random(length);
        Tensor<float> alone = Data.Random(random, 1, visible, 8);
        var rows = new float[length * 8];
        Array.Fill(rows, float.NaN);
        Data.Flat(alone).CopyTo(rows, 0);
        Tensor<float> output = Data.Poisoned(1, length, 8);
        Tensor<bool> padding = Tensor.Create([.. Enumerable.Range(0, length).Select(key => key >= visible)], [1, length]);
        layer.Forward(Tensor.Create(rows, [1, length, 8]), output, keyPaddingMask: padding);
        Tensor<float> expected = Data.Poisoned(1, visible, 8);
        layer.Forward(alone, expected);
        Close.Assert(Data.Flat(expected), Data.Flat(output)[..(visible * 8)], "rows that are not padding");
        Assert.All(Data.Flat(output)[(visible * 8)..], value => Assert.Equal(float.NaN, value));
    }

    // One key of so many is garbage. Returns how many rows of a problem with any are free of it.
    private static int AssertRows(VariantCase problem, Random random, int oneOf, AttentionEngine engine, string context)
    {
        int rows = problem.Batch * problem.KeyValueHeads * problem.KeyLength;
        bool[] isGarbage = [.. Enumerable.Range(0, rows).Select(_ => random.Next(oneOf) == 0)];
        float garbage = random.Next(3) switch
        {
            0 => float.NaN,
            1 => float.PositiveInfinity,
            _ => float.NegativeInfinity,
        };
        bool inKeys = float.IsNaN(garbage) && random.Next(2) == 0;

        // Rows of float32 that change with huge, finite values in the place of the garbage are those that see it.
        VariantCase floats = problem with { Kind = new VariantKind([0, .. problem.Kind.Choices.Skip(1)]) };
        float[] plain = Data.Flat(VariantRun.OnReference(floats).Output);
        VariantCase huge = floats with { Value = Replaced(problem, problem.Value, problem.ValueSize, isGarbage, 1e30f) };
        float[] marked = Data.Flat(VariantRun.OnReference(huge).Output);
        VariantResult expected = VariantRun.OnReference(problem);
        VariantResult actual = VariantRun.Run(
            problem with
            {
                Key = inKeys ? Replaced(problem, problem.Key, problem.HeadSize, isGarbage, garbage) : problem.Key,
                Value = Replaced(problem, problem.Value, problem.ValueSize, isGarbage, garbage),
            },
            engine);

        float[] output = Data.Flat(actual.Output);
        float[] want = Data.Flat(expected.Output);
        double smallest = problem.Smallest(problem.LargestValue);
        int size = problem.ValueSize;
        int free = 0;
        for (int row = 0; row < want.Length / size; row++)
        {
            Range range = (row * size)..(row * size + size);
            if (!plain.AsSpan(range).SequenceEqual(marked.AsSpan(range)))
            {
                Assert.All(
                    output[range], value => Assert.False(float.IsFinite(value), $"{context}: row {row} sees garbage, and has {value:R}."));
                continue;
            }

            free++;
            Close.Assert(want[range], output[range], $"output, row {row}: {context}", problem.Tolerance, smallest);
        }

        // Values change no score.
        free = isGarbage.Contains(true) ? free : 0;
        if (inKeys)
            return free;
        Assert.Equal(expected.Scores is null, actual.Scores is null);
        if (expected.Scores is not null)
            Close.Assert(expected.Scores, actual.Scores!, $"scores: {context}", problem.Tolerance, problem.Smallest(1.0));
        if (expected.LogSumExp is not null)
            Close.Assert(expected.LogSumExp, actual.LogSumExp!, $"log-sum-exp: {context}", problem.Tolerance, problem.Smallest(1.0));
        return free;
    }

    // Rows are [batch, heads, length], or [length, heads] where they are ragged. Behind the key lengths nothing changes.
    private static Tensor<float> Replaced(VariantCase problem, Tensor<float> tensor, int size, bool[] isGarbage, float value)
    {
        float[] values = Data.Flat(tensor);
        for (int row = 0; row < isGarbage.Length; row++)
        {
            bool isBehind = problem.KeyLengths.Length > 0
                && row % problem.KeyLength >= problem.KeyLengths[row / problem.KeyLength / problem.KeyValueHeads];
            if (isGarbage[row] && !isBehind)
                values.AsSpan(row * size, size).Fill(value);
        }

        return Tensor.Create(values, tensor.Lengths);
    }
}
