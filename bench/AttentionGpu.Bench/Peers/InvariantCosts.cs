using System.Numerics.Tensors;
using AttentionGpu.Cli.Bench;

namespace AttentionGpu.Bench.Peers;

/// <summary>What batch-invariant calls cost against the same calls without that promise, in turn.</summary>
internal static class InvariantCosts
{
    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan _duration = TimeSpan.FromSeconds(6);

    /// <summary>Prints the table.</summary>
    public static void Run(string device)
    {
        using var engine = new AttentionEngine(device);
        Console.WriteLine("| call | shape | element | plain, ms | batch-invariant, ms | of plain |");
        Console.WriteLine("|---|---|---|---|---|---|");
        Decode<float>(engine, batch: 1);
        Decode<float>(engine, batch: 8);
        Attention<float>(engine, 1, 12, 512, 64, Causal.None);
        Attention<float>(engine, 1, 12, 512, 64, Causal.TopLeft);
        Attention<float>(engine, 1, 8, 4096, 128, Causal.TopLeft);
        foreach (int rows in new[] { 1, 8, 512 })
            Linear(engine, rows);
        foreach (int tokens in new[] { 1, 16 })
            Layer<Half>(engine, 8, tokens, 768, 12);
        Layer<Half>(engine, 1, 8, 768, 12);
        Layer<Half>(engine, 8, 128, 768, 12);
        Layer<float>(engine, 8, 128, 768, 12);
    }

    // One query a head, 32 of them on 8 key/value heads.
    private static void Decode<T>(AttentionEngine engine, int batch)
        where T : unmanaged
    {
        (Tensor<T> query, Tensor<T> output) = (Random<T>([batch, 32, 1, 128], 1), Random<T>([batch, 32, 1, 128], 2));
        (Tensor<T> key, Tensor<T> value) = (Random<T>([batch, 8, 4096, 128], 3), Random<T>([batch, 8, 4096, 128], 4));
        Compare<T>($"decode | {batch} x 32 (8), 4096 keys, 128", batchInvariant => engine.ScaledDotProductAttention(
            new AttentionInputs<T> { Query = query, Key = key, Value = value }, new AttentionOutputs<T> { Output = output },
            new AttentionOptions { BatchInvariant = batchInvariant }));
    }

    private static void Attention<T>(AttentionEngine engine, int batch, int heads, int length, int size, Causal causal)
        where T : unmanaged
    {
        nint[] lengths = [batch, heads, length, size];
        (Tensor<T> query, Tensor<T> key, Tensor<T> value) = (Random<T>(lengths, 1), Random<T>(lengths, 2), Random<T>(lengths, 3));
        Tensor<T> output = Random<T>(lengths, 4);
        string call = causal == Causal.None ? "attention" : "attention, causal";
        Compare<T>($"{call} | {string.Join(',', lengths)}", batchInvariant => engine.ScaledDotProductAttention(
            new AttentionInputs<T> { Query = query, Key = key, Value = value }, new AttentionOutputs<T> { Output = output },
            new AttentionOptions { BatchInvariant = batchInvariant, Causal = causal }));
    }

    private static void Linear(AttentionEngine engine, int rows)
    {
        (Tensor<float> input, Tensor<float> weight) = (Random<float>([rows, 768], 1), Random<float>([768, 768], 2));
        Tensor<float> output = Random<float>([rows, 768], 3);
        Compare<float>(
            $"linear | {rows},768,768", batchInvariant => engine.Linear<float>(input, weight, output, batchInvariant: batchInvariant));
    }

    private static void Layer<T>(AttentionEngine engine, int batch, int length, int embedding, int heads)
        where T : unmanaged
    {
        var config = new MultiHeadAttentionConfig { EmbeddingSize = embedding, Heads = heads };
        var weights = MultiHeadAttentionWeights.Random(config, seed: 1);
        using var plain = new MultiHeadAttention<T>(engine, config, weights);
        using var invariant = new MultiHeadAttention<T>(engine, config with { BatchInvariant = true }, weights);
        (Tensor<T> input, Tensor<T> output) = (Random<T>([batch, length, embedding], 1), Random<T>([batch, length, embedding], 2));
        Compare<T>(
            $"layer | {batch},{length},{embedding},{heads}",
            batchInvariant => (batchInvariant ? invariant : plain).Forward(input.AsReadOnlyTensorSpan(), output.AsTensorSpan()));
    }

    private static void Compare<T>(string call, Action<bool> run)
    {
        double[] seconds = Timing.Medians(_window, _duration, TimeSpan.Zero, () => run(false), () => run(true));
        string element = typeof(T) == typeof(float) ? "float32" : "float16";
        double[] numbers = [seconds[0] * 1e3, seconds[1] * 1e3, seconds[1] / seconds[0]];
        string[] figures = Array.ConvertAll(numbers, number => Figures.Text(number, "F3"));
        Console.WriteLine($"| {call} | {element} | {string.Join(" | ", figures)} |");
    }

    private static Tensor<T> Random<T>(nint[] lengths, int seed)
        where T : unmanaged
    {
        float[] values = Inputs.Random(lengths.Aggregate(1L, (count, length) => count * length), seed);
        object converted = typeof(T) == typeof(float) ? values : Array.ConvertAll(values, value => (Half)value);
        return Tensor.Create((T[])converted, lengths);
    }
}
