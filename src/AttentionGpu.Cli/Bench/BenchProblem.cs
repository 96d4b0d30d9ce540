using System.Numerics.Tensors;
using AttentionGpu.Cli.Output;

namespace AttentionGpu.Cli.Bench;

/// <summary>Something to time, on tensors that stay on the device, and what it costs at least.</summary>
/// <param name="Run">One call, and the wait for its end.</param>
/// <param name="Operations">Floating-point operations: two a multiply-add; pairs that a causal mask hides do not count.</param>
/// <param name="Bytes">Inputs, parameters and outputs, once each.</param>
internal sealed record BenchProblem(Action Run, double Operations, double Bytes)
{
    /// <param name="engine">Where it runs.</param>
    /// <param name="shape">Batch, heads, length, head size.</param>
    /// <param name="keyValueHeads">Key/value heads; null for as many as there are heads.</param>
    /// <param name="keyLength">Keys; null for as many as there are queries.</param>
    /// <param name="causal">Whether the last query sees all keys, the one before all but the last, and so on.</param>
    public static BenchProblem Attention(AttentionEngine engine, int[] shape, int? keyValueHeads, int? keyLength, bool causal)
    {
        (int batch, int heads, int length, int size) = (shape[0], shape[1], shape[2], shape[3]);
        int keys = keyLength ?? length;
        int keyHeads = keyValueHeads ?? heads;
        DeviceTensor<float> query = Random(engine, batch, heads, length, size);
        DeviceTensor<float> key = Random(engine, batch, keyHeads, keys, size);
        DeviceTensor<float> value = Random(engine, batch, keyHeads, keys, size);
        DeviceTensor<float> output = engine.CreateTensor<float>(batch, heads, length, size);
        Causal alignment = causal ? Causal.BottomRight : Causal.None;
        var options = new AttentionOptions { Causal = alignment };
        return new BenchProblem(
            () =>
            {
                engine.ScaledDotProductAttention<float>(query, key, value, output, options);
                engine.Synchronize();
            },
            4.0 * batch * heads * size * VisiblePairs.Count(alignment, length, keys),
            sizeof(float) * 2.0 * batch * size * (((double)heads * length) + ((double)keyHeads * keys)));
    }

    /// <param name="engine">Where it runs.</param>
    /// <param name="shape">Batch, length, embedding size, heads.</param>
    /// <param name="keyValueHeads">Key/value heads; null for as many as there are heads.</param>
    /// <param name="causal">Whether a position sees only itself and those before.</param>
    public static BenchProblem Layer(AttentionEngine engine, int[] shape, int? keyValueHeads, bool causal)
    {
        (int batch, int length, int embedding, int heads) = (shape[0], shape[1], shape[2], shape[3]);
        var config = new MultiHeadAttentionConfig { EmbeddingSize = embedding, Heads = heads, KeyValueHeads = keyValueHeads };
        var layer = new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(config, seed: 1));
        DeviceTensor<float> input = Random(engine, batch, length, embedding);
        DeviceTensor<float> output = engine.CreateTensor<float>(batch, length, embedding);
        Causal alignment = causal ? Causal.TopLeft : Causal.None;
        var cost = LayerCost.Of(config, [.. Enumerable.Repeat(((nint)length, (nint)length), batch)], alignment, needWeights: false);
        return new BenchProblem(
            () =>
            {
                layer.Forward(input, input, input, output, alignment);
                engine.Synchronize();
            },
            cost.Operations,
            cost.Bytes);
    }

    /// <param name="engine">Where it runs.</param>
    /// <param name="shape">Rows, output size, input size.</param>
    public static BenchProblem Linear(AttentionEngine engine, int[] shape)
    {
        (int rows, int columns, int depth) = (shape[0], shape[1], shape[2]);
        DeviceTensor<float> input = Random(engine, rows, depth);
        DeviceTensor<float> weight = Random(engine, columns, depth);
        DeviceTensor<float> output = engine.CreateTensor<float>(rows, columns);
        return new BenchProblem(
            () =>
            {
                engine.Linear<float>(input, weight, output);
                engine.Synchronize();
            },
            2.0 * rows * columns * depth,
            sizeof(float) * (((double)rows * depth) + ((double)columns * depth) + ((double)rows * columns)));
    }

    private static DeviceTensor<float> Random(AttentionEngine engine, params ReadOnlySpan<nint> lengths)
    {
        Tensor<float> tensor = Tensor.CreateFromShapeUninitialized<float>(lengths);
        var random = new Random(1);
        foreach (ref float value in tensor.AsTensorSpan())
            value = (2f * random.NextSingle()) - 1f;
        return engine.CreateTensor(tensor.AsReadOnlyTensorSpan());
    }
}
