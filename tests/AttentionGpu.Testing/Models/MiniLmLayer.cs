using AttentionGpu.Serialization.Onnx;

namespace AttentionGpu.Tests.Models;

/// <summary>What an attention layer of the model reads and writes in ONNX Runtime, padded: [sentences, longest, 384].</summary>
internal sealed record MiniLmLayer(float[] Input, float[] Output)
{
    /// <summary>All layers on a batch.</summary>
    public static MiniLmLayer[] Run(MiniLmFolder folder, MiniLmBatch batch)
    {
        (string Input, string Output)[] names = Names(folder.Model);
        using var runtime = new InnerTensors(folder.Model, [.. names.SelectMany(pair => (string[])[pair.Input, pair.Output])]);
        return [.. runtime.Run(batch.Inputs).Chunk(2).Select(pair => new MiniLmLayer(pair[0].Values, pair[1].Values))];
    }

    // The input of a layer is what the matrix of its queries is multiplied with, its output the sum with the last bias.
    private static (string Input, string Output)[] Names(string path)
    {
        using FileStream stream = File.OpenRead(path);
        var graph = OnnxGraph.Read(stream);
        OnnxNode Sum(int layer, string bias) =>
            graph.Nodes.Single(node => node.Type == "Add" && node.Inputs.Contains($"encoder.layer.{layer}.attention.{bias}"));
        return
        [
            .. Enumerable.Range(0, MiniLmFolder.Layers).Select(layer =>
            {
                string product = Sum(layer, "self.query.bias").Inputs[1];
                string input = graph.Nodes.Single(node => node.Outputs.Contains(product)).Inputs[0];
                return (input, Sum(layer, "output.dense.bias").Outputs[0]);
            }),
        ];
    }
}
