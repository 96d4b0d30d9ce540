using System.Diagnostics;
using System.Numerics.Tensors;

namespace AttentionGpu.Cli.Verify;

/// <summary>
/// A fixed set of problems whose right answers come from the float64 reference. Outputs are poisoned with NaN before each run.
/// </summary>
internal static class BuiltInCases
{
    private const int Seed = 2017;

    /// <summary>All cases.</summary>
    public static IReadOnlyList<VerifyCase> All { get; } =
    [
        Linear("linear 1x1x1", 1, 1, 1),
        Linear("linear 3x5x7", 3, 5, 7),
        Linear("linear 37x96x53 bias", 37, 96, 53, bias: true),
        Linear("linear 64x64x64", 64, 64, 64),
        Linear("linear 129x65x17 bias", 129, 65, 17, bias: true),
        Attention("attention plain", new(2, 3, 3, 33, 33, 16, 16)),
        Attention("attention one query", new(2, 4, 4, 1, 67, 32, 32)),
        Attention("attention one key", new(1, 2, 2, 5, 1, 8, 8)),
        Attention("attention no key", new(1, 2, 2, 5, 0, 8, 8)),
        Attention("attention head size 1", new(1, 2, 2, 19, 23, 1, 1)),
        Attention("attention head size 80", new(1, 2, 2, 17, 31, 80, 80)),
        Attention("attention head size 128", new(1, 1, 1, 24, 40, 128, 128)),
        Attention("attention head size 256", new(1, 1, 1, 9, 20, 256, 256)),
        Attention("attention value size 5", new(2, 2, 2, 21, 13, 24, 5)),
        Attention("attention value size 72", new(1, 2, 2, 21, 13, 8, 72)),
        Attention("attention grouped heads", new(2, 6, 2, 18, 25, 16, 16)),
        Attention("attention one key/value head", new(1, 5, 1, 18, 25, 16, 16)),
        Attention("attention scale 0.3", new(1, 2, 2, 29, 29, 16, 16), scale: 0.3f),
        Attention("attention large logits", new(1, 2, 2, 29, 29, 16, 16), scale: 8f),
        Attention("causal", new(1, 2, 2, 65, 65, 16, 16), Causal.TopLeft),
        Attention("causal, more keys", new(1, 2, 2, 17, 41, 16, 16), Causal.TopLeft),
        Attention("causal, more queries", new(1, 2, 2, 41, 17, 16, 16), Causal.TopLeft),
        Attention("causal bottom right, more keys", new(1, 2, 2, 17, 41, 16, 16), Causal.BottomRight),
        Attention("causal bottom right, more queries", new(1, 2, 2, 41, 17, 16, 16), Causal.BottomRight),
        Attention("boolean mask", new(2, 2, 2, 33, 29, 16, 16), mask: MaskForm.Boolean),
        Attention("boolean mask, causal", new(2, 2, 2, 33, 33, 16, 16), Causal.TopLeft, MaskForm.Boolean),
        Attention("additive mask", new(2, 2, 2, 33, 29, 16, 16), mask: MaskForm.Additive),
        Attention("additive mask, causal", new(2, 4, 2, 33, 33, 16, 16), Causal.TopLeft, MaskForm.Additive),
        Attention("fully masked rows", new(2, 2, 2, 33, 29, 16, 16), mask: MaskForm.HidesRows),
        Attention("weights", new(2, 4, 2, 21, 27, 16, 8), weights: true),
        Attention("weights, causal", new(1, 2, 2, 27, 27, 16, 16), Causal.TopLeft, weights: true),
        Attention("weights, fully masked rows", new(2, 2, 2, 17, 29, 8, 8), mask: MaskForm.HidesRows, weights: true),
        Layer("layer, self-attention", new() { EmbeddingSize = 96, Heads = 6 }, 2, 37, null),
        Layer("layer, grouped heads", new() { EmbeddingSize = 96, Heads = 6, KeyValueHeads = 2 }, 2, 37, null),
        Layer("layer, cross-attention", new() { EmbeddingSize = 96, Heads = 6, KeyValueHeads = 2 }, 2, 37, 53),
        Layer("layer, own key and value sizes", new() { EmbeddingSize = 32, Heads = 4, KeySize = 20, ValueSize = 28 }, 1, 11, 19),
        Layer("layer, length first", new() { EmbeddingSize = 32, Heads = 4, BatchFirst = false }, 3, 13, null),
    ];

    private static VerifyCase Linear(string name, int rows, int depth, int columns, bool bias = false) => new(name, engine =>
    {
        var random = new Random(Seed);
        float[] input = Draw(random, rows * depth);
        float[] weight = Draw(random, columns * depth);
        float[] offset = Draw(random, columns);
        return Compare(name, engine, rows * columns, (target, output) => target.Linear<float>(
            new ReadOnlyTensorSpan<float>(input, [rows, depth]),
            new ReadOnlyTensorSpan<float>(weight, [columns, depth]),
            new TensorSpan<float>(output, [rows, columns]),
            bias ? new ReadOnlyTensorSpan<float>(offset, [columns]) : default));
    });

    private static VerifyCase Attention(
        string name, Sizes sizes, Causal causal = Causal.None, MaskForm mask = MaskForm.None, float? scale = null, bool weights = false) =>
        new(name, engine =>
        {
            var random = new Random(Seed);
            float[] query = Draw(random, sizes.Batch * sizes.Heads * sizes.QueryLength * sizes.HeadSize);
            float[] key = Draw(random, sizes.Batch * sizes.KeyValueHeads * sizes.KeyLength * sizes.HeadSize);
            float[] value = Draw(random, sizes.Batch * sizes.KeyValueHeads * sizes.KeyLength * sizes.ValueSize);
            float[] bias = Draw(random, sizes.Batch * sizes.QueryLength * sizes.KeyLength);
            if (mask == MaskForm.HidesRows)
                Array.Fill(bias, float.NegativeInfinity, 0, sizes.QueryLength / 2 * sizes.KeyLength);
            bool[] visible = [.. bias.Select(number => number > 0f)];
            var options = new AttentionOptions { Causal = causal, Scale = scale };
            int outputs = sizes.Batch * sizes.Heads * sizes.QueryLength * sizes.ValueSize;
            int weightCount = weights ? sizes.Batch * sizes.Heads * sizes.QueryLength * sizes.KeyLength : 0;
            return Compare(name, engine, outputs + weightCount, (target, all) =>
            {
                ReadOnlySpan<nint> maskShape = [sizes.Batch, 1, sizes.QueryLength, sizes.KeyLength];
                AttentionMask attentionMask = mask switch
                {
                    MaskForm.None => default,
                    MaskForm.Boolean => new AttentionMask(new ReadOnlyTensorSpan<bool>(visible, maskShape)),
                    _ => new AttentionMask(new ReadOnlyTensorSpan<float>(bias, maskShape)),
                };
                var queryTensor = new ReadOnlyTensorSpan<float>(query, [sizes.Batch, sizes.Heads, sizes.QueryLength, sizes.HeadSize]);
                var keyTensor = new ReadOnlyTensorSpan<float>(key, [sizes.Batch, sizes.KeyValueHeads, sizes.KeyLength, sizes.HeadSize]);
                var valueTensor = new ReadOnlyTensorSpan<float>(value, [sizes.Batch, sizes.KeyValueHeads, sizes.KeyLength, sizes.ValueSize]);
                var output = new TensorSpan<float>(
                    all.AsSpan(0, outputs), [sizes.Batch, sizes.Heads, sizes.QueryLength, sizes.ValueSize]);
                if (!weights)
                {
                    target.ScaledDotProductAttention<float>(queryTensor, keyTensor, valueTensor, output, options, attentionMask);
                    return;
                }

                var weightTensor = new TensorSpan<float>(
                    all.AsSpan(outputs), [sizes.Batch, sizes.Heads, sizes.QueryLength, sizes.KeyLength]);
                target.ScaledDotProductAttentionWithWeights<float>(
                    queryTensor, keyTensor, valueTensor, output, weightTensor, options: options, mask: attentionMask);
            });
        });

    private static VerifyCase Layer(string name, MultiHeadAttentionConfig config, int batch, int length, int? contextLength) =>
        new(name, engine =>
        {
            var random = new Random(Seed);
            MultiHeadAttentionWeights weights = MultiHeadAttentionWeights.Random(config, Seed);
            nint[] Shape(int rows, int size) => config.BatchFirst ? [batch, rows, size] : [rows, batch, size];
            int keySize = config.KeySize ?? config.EmbeddingSize;
            int valueSize = config.ValueSize ?? config.EmbeddingSize;
            float[] input = Draw(random, batch * length * config.EmbeddingSize);
            float[] keys = Draw(random, batch * (contextLength ?? 0) * keySize);
            float[] values = Draw(random, batch * (contextLength ?? 0) * valueSize);
            return Compare(name, engine, input.Length, (target, output) =>
            {
                using var layer = new MultiHeadAttention<float>(target, config, weights);
                var query = new ReadOnlyTensorSpan<float>(input, Shape(length, config.EmbeddingSize));
                var result = new TensorSpan<float>(output, Shape(length, config.EmbeddingSize));
                if (contextLength is not int keyLength)
                {
                    layer.Forward(query, result);
                    return;
                }

                layer.Forward(
                    query,
                    new ReadOnlyTensorSpan<float>(keys, Shape(keyLength, keySize)),
                    new ReadOnlyTensorSpan<float>(values, Shape(keyLength, valueSize)),
                    result);
            });
        });

    private static VerifyOutcome Compare(string name, AttentionEngine engine, int count, Action<AttentionEngine, float[]> run)
    {
        using var reference = new AttentionEngine("reference");
        float[] expected = Poisoned(count);
        run(reference, expected);
        float[] actual = Poisoned(count);
        long start = Stopwatch.GetTimestamp();
        run(engine, actual);
        double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;

        // NaN is never right here: a reference that left any has failed as well.
        return expected.Any(float.IsNaN)
            ? new VerifyOutcome(name, VerifyStatus.Failed, null, milliseconds, "the reference left elements unwritten")
            : VerifyOutcome.Compare(name, actual, expected, milliseconds);
    }

    private static float[] Poisoned(int count)
    {
        var values = new float[count];
        Array.Fill(values, float.NaN);
        return values;
    }

    private static float[] Draw(Random random, int count)
    {
        var values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = (float)(2.0 * random.NextDouble() - 1.0);
        return values;
    }

    private enum MaskForm
    {
        None,
        Boolean,
        Additive,

        /// <summary>Additive, with -inf in all of the first batch entry's earlier rows.</summary>
        HidesRows,
    }

    private sealed record Sizes(
        int Batch, int Heads, int KeyValueHeads, int QueryLength, int KeyLength, int HeadSize, int ValueSize);
}
