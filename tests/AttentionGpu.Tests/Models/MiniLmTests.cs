using System.Numerics.Tensors;
using AttentionGpu.SentenceEncoder;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Models;

/// <summary>A real model, all-MiniLM-L6-v2: its attention layers against tensors between the nodes of its graph in ONNX Runtime.</summary>
public sealed class MiniLmTests(MiniLmFolder folder) : IClassFixture<MiniLmFolder>
{
    // Of the largest element: sums of 384 products in another order.
    private const double Tolerance = 5e-6;

    private static readonly string[] _sentences =
    [
        "The train to the coast leaves at seven in the morning.",
        "Rain.",
        "She kept the letters in a tin box under the stairs, where nobody but the cat ever went.",
        "How long does it take to boil an egg at 2,000 metres above sea level?",
        "Attention weighs every word of a sentence against every other one, which is why its cost grows with the square of the length, "
        + "and why a batch of short sentences should not be padded to the longest.",
        "No refunds.",
    ];

    [Fact]
    public void All_layers_agree_with_ONNX_Runtime_padded_and_ragged()
    {
        Assert.SkipWhen(MiniLmFolder.Missing is not null, MiniLmFolder.Missing ?? "");
        var batch = new MiniLmBatch(folder, _sentences);
        using var model = AttentionModel.Open(folder.Path);
        Assert.Equal(Enumerable.Range(0, MiniLmFolder.Layers), model.Layers.Select(layer => layer.Index));
        MiniLmLayer[] runtime = MiniLmLayer.Run(folder, batch);

        foreach (AttentionModelLayer found in model.Layers)
        {
            (float[] input, float[] output) = runtime[found.Index];
            using MultiHeadAttention<float> layer = model.LoadLayer<float>(Engines.Get("simd"), found);
            Assert.Equal((MiniLmFolder.Heads, 32), (layer.Config.Heads, layer.Config.HeadSize));

            Tensor<float> padded = Rows(input, _sentences.Length, batch.Longest, MiniLmFolder.Width);
            Tensor<float> result = Data.Poisoned(padded.Lengths);
            layer.Forward(padded, result, keyPaddingMask: Tensor.Create(batch.Padding, [_sentences.Length, batch.Longest]));
            Close.Assert(output, Data.Flat(result), $"layer {found.Index}, padded", Tolerance);

            Tensor<float> ragged = Rows(batch.Ragged(input), batch.Starts[^1], MiniLmFolder.Width);
            result = Data.Poisoned(ragged.Lengths);
            layer.ForwardRagged(ragged, batch.Starts, result);
            Close.Assert(batch.Ragged(output), Data.Flat(result), $"layer {found.Index}, ragged", Tolerance);
        }
    }

    [Fact]
    public void Opening_passes_over_the_weights_and_a_layer_takes_its_own_size()
    {
        Assert.SkipWhen(MiniLmFolder.Missing is not null, MiniLmFolder.Missing ?? "");
        const long most = 12L << 20;
        const long layer = 4L * MiniLmFolder.Width * MiniLmFolder.Width * sizeof(float);
        Assert.InRange(new FileInfo(folder.Model).Length, 90_000_000, 91_000_000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var model = AttentionModel.Open(folder.Model);
        long opened = GC.GetAllocatedBytesForCurrentThread();
        Assert.InRange(opened - before, 0, most);

        // A matrix is stored transposed: it is there twice while it is read.
        model.ReadLayer(model.Layers[3]);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - opened, layer, 3 * layer);
    }

    [Fact]
    public void The_sample_makes_the_embeddings_of_ONNX_Runtime()
    {
        Assert.SkipWhen(MiniLmFolder.Missing is not null, MiniLmFolder.Missing ?? "");
        var batch = new MiniLmBatch(folder, _sentences);
        using var runtime = new InnerTensors(folder.Model, "last_hidden_state");
        float[] hidden = batch.Ragged(runtime.Run(batch.Inputs)[0].Values);
        using var encoder = new Encoder(Engines.Get("simd"), folder.Path);
        float[][] vectors = encoder.Encode(_sentences);
        for (int i = 0; i < _sentences.Length; i++)
        {
            // The mean of the rows, of length 1.
            float[][] rows = [.. hidden.Chunk(MiniLmFolder.Width).Skip(batch.Starts[i]).Take(batch.Lengths[i])];
            double[] mean = [.. Enumerable.Range(0, MiniLmFolder.Width).Select(column => rows.Average(row => (double)row[column]))];
            double norm = Math.Sqrt(mean.Sum(value => value * value));
            Close.Assert([.. mean.Select(value => (float)(value / norm))], vectors[i], _sentences[i]);
        }
    }

    [Fact]
    public void Sentences_that_mean_the_same_are_close()
    {
        Assert.SkipWhen(MiniLmFolder.Missing is not null, MiniLmFolder.Missing ?? "");
        using var encoder = new Encoder(Engines.Get("simd"), folder.Path);
        float[][] vectors = encoder.Encode(
            ["How do I change my password?", "I would like to set a new password.", "The river froze in January."]);
        Assert.InRange(TensorPrimitives.Dot<float>(vectors[0], vectors[1]), 0.6f, 1f);
        Assert.InRange(TensorPrimitives.Dot<float>(vectors[0], vectors[2]), -1f, 0.2f);
    }

    private static Tensor<float> Rows(float[] values, params ReadOnlySpan<nint> lengths) => Tensor.Create(values, lengths);
}
