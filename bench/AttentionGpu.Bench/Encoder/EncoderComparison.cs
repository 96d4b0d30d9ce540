using System.Numerics.Tensors;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Tests.Models;
using AttentionGpu.Tests.Support;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Bench.Encoder;

/// <summary>
/// The six attention layers of MiniLM on sentences: ours on a ragged batch, ONNX Runtime's on a padded one. Each layer has the input that
/// the model gives it.
/// </summary>
internal sealed class EncoderComparison
{
    private const int Width = MiniLmFolder.Width;

    private static readonly string[] _projections = ["query", "key", "value"];

    private readonly MiniLmBatch _batch;
    private readonly MiniLmLayer[] _layers;
    private readonly MultiHeadAttentionWeights[] _weights;

    public EncoderComparison(MiniLmFolder folder, AttentionModel model, params IEnumerable<string> sentences)
    {
        _batch = new MiniLmBatch(folder, sentences);
        _layers = MiniLmLayer.Run(folder, _batch);
        _weights = [.. model.Layers.Select(layer => model.ReadLayer(layer).Weights)];
    }

    /// <summary>Tokens of each sentence.</summary>
    public int[] Lengths => _batch.Lengths;

    /// <summary>Tokens of the sentences and of the padded batch.</summary>
    public (int Ragged, int Padded) Tokens => (_batch.Starts[^1], _batch.Lengths.Length * _batch.Longest);

    /// <summary>Operations of all layers: two a multiply-add.</summary>
    public double Operations => OperationsOf(_batch.Lengths);

    /// <summary>The same on the padded batch.</summary>
    public double PaddedOperations => OperationsOf([.. _batch.Lengths.Select(_ => _batch.Longest)]);

    /// <summary>Ours against the forms of ONNX Runtime, in one session with all layers.</summary>
    public Comparison Create(AttentionEngine engine, AttentionModel model, int threads)
    {
        int size = Tokens.Ragged * Width;
        float[] output = new float[_layers.Length * size];
        float[][] inputs = [.. _layers.Select(layer => _batch.Ragged(layer.Input))];
        nint[] lengths = [Tokens.Ragged, Width];
        var layers = new OwnedLayers([.. model.Layers.Select(layer => model.LoadLayer<float>(engine, layer))]);
        var comparison = new Comparison
        {
            Operations = Operations,
            Bytes = sizeof(float) * (2.0 * output.Length + 4.0 * Width * Width * _layers.Length),
            Ours = () =>
            {
                for (int i = 0; i < inputs.Length; i++)
                {
                    layers.All[i].ForwardRagged(
                        new ReadOnlyTensorSpan<float>(inputs[i], lengths), _batch.Starts,
                        new TensorSpan<float>(output.AsSpan(i * size, size), lengths));
                }
            },
            Output = output,
            Owned = layers,
        };
        comparison.Add(Peer(threads, isFused: true));
        comparison.Add(Peer(threads, isFused: false));
        return comparison;
    }

    // With queries, keys and values as one product in ONNX Runtime's Attention, or as three products for its MultiHeadAttention. Both leave
    // out keys behind each sentence's length; a batch without padding has no such input.
    private OnnxRuntimeModel Peer(int threads, bool isFused)
    {
        nint[] lengths = [_batch.Lengths.Length, _batch.Longest, Width];
        var model = new OnnxModel();
        string padding = Tokens.Ragged == Tokens.Padded ? "" : model.AddConstant("lengths", _batch.Lengths, _batch.Lengths.Length);
        var inputs = new List<(string Name, OrtValue Value)>();
        var outputs = new List<(string Name, OrtValue Value)>();
        float[][] results = [.. _layers.Select(layer => new float[layer.Output.Length])];
        for (int i = 0; i < _layers.Length; i++)
        {
            string input = model.AddInput($"input{i}", lengths);
            inputs.Add((input, OnnxRuntimeModel.Tensor(_layers[i].Input, lengths)));
            outputs.Add((AddLayer(model, i, input, padding, isFused), OnnxRuntimeModel.Tensor(results[i], lengths)));
        }

        return new OnnxRuntimeModel(
            model, threads, [.. inputs], () => [.. results.SelectMany(_batch.Ragged)], [.. outputs]);
    }

    private string AddLayer(OnnxModel model, int index, string input, string padding, bool isFused)
    {
        MultiHeadAttentionWeights weights = _weights[index];
        Tensor<float>[] matrices = [weights.Query, weights.Key, weights.Value, weights.Output];

        // ONNX multiplies by [input, output].
        float[][] transposed = [.. matrices.Select(matrix => Inputs.Swap(Data.Flat(matrix), 1, Width, Width, 1))];
        string Name(string name) => $"{name}{index}";
        string biases = model.AddConstant(
            Name("biases"),
            [.. Data.Flat(weights.QueryBias!), .. Data.Flat(weights.KeyBias!), .. Data.Flat(weights.ValueBias!)],
            3 * Width);
        if (isFused)
        {
            string joined = model.AddConstant(Name("weights"), Comparisons.JoinColumns(transposed.AsSpan(0, 3), Width), Width, 3 * Width);
            model.AddNode(
                OnnxModel.MicrosoftDomain, "Attention", [input, joined, biases, padding], [Name("attended")],
                ("num_heads", MiniLmFolder.Heads));
        }
        else
        {
            string[] parts =
            [
                .. _projections.Select((name, part) => model.AddNode(
                    "MatMul", [input, model.AddConstant(Name(name + ".weight"), transposed[part], Width, Width)], [Name(name)])),
            ];
            model.AddNode(
                OnnxModel.MicrosoftDomain, "MultiHeadAttention", [.. parts, biases, padding], [Name("attended")],
                ("num_heads", MiniLmFolder.Heads));
        }

        string output = model.AddConstant(Name("output.weight"), transposed[3], Width, Width);
        model.AddNode("MatMul", [Name("attended"), output], [Name("projected")]);
        return model.AddNode(
            "Add", [Name("projected"), model.AddConstant(Name("output.bias"), Data.Flat(weights.OutputBias!), Width)], [Name("output")]);
    }

    private double OperationsOf(int[] lengths) =>
        _layers.Length * lengths.Sum(length => 8.0 * length * Width * Width + 4.0 * length * length * Width);

    private sealed record OwnedLayers(MultiHeadAttention<float>[] All) : IDisposable
    {
        public void Dispose() => Array.ForEach(All, layer => layer.Dispose());
    }
}
