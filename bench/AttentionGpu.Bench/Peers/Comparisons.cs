using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Torch;
using TorchSharp;

namespace AttentionGpu.Bench.Peers;

/// <summary>Makes the comparisons: attention, decoding against a cache, and a whole layer.</summary>
internal static class Comparisons
{
    private const string Output = "output";

    /// <summary>Attention with as many keys as queries: against the operators <c>Attention</c> and <c>MultiHeadAttention</c>.</summary>
    public static Comparison Attention(AttentionEngine engine, int threads, int batch, int heads, int length, int size, bool causal)
    {
        nint[] lengths = [batch, heads, length, size];
        long count = (long)batch * heads * length * size;
        float[] query = Inputs.Random(count, 1);
        float[] key = Inputs.Random(count, 2);
        float[] value = Inputs.Random(count, 3);
        float[] output = new float[count];
        var options = new AttentionOptions { Causal = causal ? Causal.TopLeft : Causal.None };
        var comparison = new Comparison
        {
            Operations = 4.0 * count * length * (causal ? 0.5 : 1.0),
            Bytes = 4.0 * count * sizeof(float),
            Ours = () => engine.ScaledDotProductAttention<float>(
                new ReadOnlyTensorSpan<float>(query, lengths), new ReadOnlyTensorSpan<float>(key, lengths),
                new ReadOnlyTensorSpan<float>(value, lengths), new TensorSpan<float>(output, lengths), options),
            Output = output,
        };

        var plain = new OnnxModel();
        string[] names = [plain.AddInput("query", lengths), plain.AddInput("key", lengths), plain.AddInput("value", lengths)];
        plain.AddNode("Attention", names, [Output], ("is_causal", causal ? 1 : 0));
        float[] plainOutput = new float[count];
        comparison.Add(
            new OnnxRuntimeModel(
                plain, threads, [.. names.Zip([query, key, value], (name, values) => (name, OnnxRuntimeModel.Tensor(values, lengths)))],
                () => plainOutput, (Output, OnnxRuntimeModel.Tensor(plainOutput, lengths))));

        nint[] joined = [batch, length, heads * size];
        var joinedModel = new OnnxModel();
        foreach (string name in names)
            joinedModel.AddInput(name, joined);
        joinedModel.AddNode(
            OnnxModel.MicrosoftDomain, "MultiHeadAttention", names, [Output], ("num_heads", heads), ("unidirectional", causal ? 1 : 0));
        float[] joinedOutput = new float[count];
        comparison.Add(
            new OnnxRuntimeModel(
                joinedModel, threads,
                [.. names.Zip([query, key, value], (name, values) =>
                    (name, OnnxRuntimeModel.Tensor(Inputs.Swap(values, batch, heads, length, size), joined)))],
                () => Inputs.Swap(joinedOutput, batch, length, heads, size), (Output, OnnxRuntimeModel.Tensor(joinedOutput, joined))));
        if (TorchLibrary.IsAvailable)
            comparison.Add(new TorchPeer(
                threads, [(query, lengths), (key, lengths), (value, lengths)],
                tensors => torch.nn.functional.scaled_dot_product_attention(tensors[0], tensors[1], tensors[2], is_casual: causal)));
        return comparison;
    }

    /// <summary>One query row of each head against a cache: against <c>GroupQueryAttention</c>, which writes its present over its past.</summary>
    public static Comparison Decoding(AttentionEngine engine, int threads, int heads, int keyValueHeads, int length, int size)
    {
        nint[] queryLengths = [1, heads, 1, size];
        nint[] keyLengths = [1, keyValueHeads, length, size];
        long keyCount = (long)keyValueHeads * length * size;
        float[] query = Inputs.Random((long)heads * size, 1);
        float[] key = Inputs.Random(keyCount, 2);
        float[] value = Inputs.Random(keyCount, 3);
        float[] output = new float[heads * size];
        var comparison = new Comparison
        {
            Operations = 4.0 * heads * length * size,
            Bytes = 2.0 * sizeof(float) * (keyCount + heads * size),
            Ours = () => engine.ScaledDotProductAttention<float>(
                new ReadOnlyTensorSpan<float>(query, queryLengths), new ReadOnlyTensorSpan<float>(key, keyLengths),
                new ReadOnlyTensorSpan<float>(value, keyLengths), new TensorSpan<float>(output, queryLengths)),
            Output = output,
        };

        nint[] newLengths = [1, 1, keyValueHeads * size];
        nint[] rowLengths = [1, 1, heads * size];
        var model = new OnnxModel();
        string[] names =
        [
            model.AddInput("query", rowLengths), model.AddInput("key", newLengths), model.AddInput("value", newLengths),
            model.AddInput("past_key", keyLengths), model.AddInput("past_value", keyLengths),
            model.AddConstant("seqlens_k", [length - 1], 1), model.AddConstant("total_sequence_length", [length]),
        ];
        model.AddNode(
            OnnxModel.MicrosoftDomain, "GroupQueryAttention", names, [Output, "present_key", "present_value"],
            ("num_heads", heads), ("kv_num_heads", keyValueHeads));
        float[] theirs = new float[heads * size];
        float[] pastKey = [.. key];
        float[] pastValue = [.. value];
        comparison.Add(
            new OnnxRuntimeModel(
                model, threads,
                [
                    ("query", OnnxRuntimeModel.Tensor(query, rowLengths)),
                    ("key", OnnxRuntimeModel.Tensor(Last(key, keyValueHeads, length, size), newLengths)),
                    ("value", OnnxRuntimeModel.Tensor(Last(value, keyValueHeads, length, size), newLengths)),
                    ("past_key", OnnxRuntimeModel.Tensor(pastKey, keyLengths)),
                    ("past_value", OnnxRuntimeModel.Tensor(pastValue, keyLengths)),
                ],
                () => theirs,
                (Output, OnnxRuntimeModel.Tensor(theirs, rowLengths)),
                ("present_key", OnnxRuntimeModel.Tensor(pastKey, keyLengths)),
                ("present_value", OnnxRuntimeModel.Tensor(pastValue, keyLengths))));
        return comparison;
    }

    /// <summary>Projections, attention and projection: against <c>Attention</c> and <c>MultiHeadAttention</c> of ONNX Runtime with matrix products.</summary>
    public static Comparison Layer(AttentionEngine engine, int threads, int batch, int length, int embedding, int heads)
    {
        nint[] lengths = [batch, length, embedding];
        long count = (long)batch * length * embedding;
        float[] input = Inputs.Random(count, 1);
        float[] output = new float[count];
        float bound = MathF.Sqrt(3f / embedding);
        float[][] weights = [.. Enumerable.Range(0, 4).Select(i => Inputs.Random((long)embedding * embedding, 10 + i, bound))];
        float[][] biases = [.. Enumerable.Range(0, 4).Select(i => Inputs.Random(embedding, 20 + i, bound))];
        Tensor<float> Matrix(int i) => Tensor.Create(weights[i], [embedding, embedding]);
        var layer = new MultiHeadAttention<float>(
            engine,
            new MultiHeadAttentionConfig { EmbeddingSize = embedding, Heads = heads },
            new MultiHeadAttentionWeights
            {
                Query = Matrix(0),
                Key = Matrix(1),
                Value = Matrix(2),
                Output = Matrix(3),
                QueryBias = Tensor.Create(biases[0], [embedding]),
                KeyBias = Tensor.Create(biases[1], [embedding]),
                ValueBias = Tensor.Create(biases[2], [embedding]),
                OutputBias = Tensor.Create(biases[3], [embedding]),
            });
        var comparison = new Comparison
        {
            Operations = (8.0 * count * embedding) + (4.0 * count * length),
            Bytes = sizeof(float) * ((2.0 * count) + (4.0 * embedding * embedding)),
            Ours = () =>
            {
                var tensor = new ReadOnlyTensorSpan<float>(input, lengths);
                layer.Forward(tensor, tensor, tensor, new TensorSpan<float>(output, lengths));
            },
            Output = output,
            Owned = layer,
        };

        // ONNX multiplies by [input, output].
        float[][] transposed = [.. weights.Select(weight => Inputs.Swap(weight, 1, embedding, embedding, 1))];
        var fused = new OnnxModel();
        fused.AddInput("input", lengths);
        fused.AddNode(
            OnnxModel.MicrosoftDomain, "Attention",
            [
                "input",
                fused.AddConstant("weights", JoinColumns(transposed.AsSpan(0, 3), embedding), embedding, 3 * embedding),
                fused.AddConstant("biases", [.. biases[0], .. biases[1], .. biases[2]], 3 * embedding),
            ],
            ["attended"], ("num_heads", heads));
        AddOutputProjection(fused, transposed[3], biases[3], embedding);
        AddLayerPeer(comparison, fused, threads, input, lengths);

        var separate = new OnnxModel();
        separate.AddInput("input", lengths);
        string[] names = ["query", "key", "value"];
        for (int i = 0; i < names.Length; i++)
            separate.AddNode("MatMul", ["input", separate.AddConstant($"weight{i}", transposed[i], embedding, embedding)], [names[i]]);
        separate.AddNode(
            OnnxModel.MicrosoftDomain, "MultiHeadAttention",
            [.. names, separate.AddConstant("biases", [.. biases[0], .. biases[1], .. biases[2]], 3 * embedding)], ["attended"], ("num_heads", heads));
        AddOutputProjection(separate, transposed[3], biases[3], embedding);
        AddLayerPeer(comparison, separate, threads, input, lengths);
        if (TorchLibrary.IsAvailable)
            comparison.Add(TorchLayer(threads, heads, (input, lengths), weights, biases));
        return comparison;
    }

    // As nn.MultiheadAttention computes it: one product for queries, keys and values.
    private static TorchPeer TorchLayer(int threads, int heads, (float[] Values, nint[] Lengths) input, float[][] weights, float[][] biases)
    {
        nint embedding = input.Lengths[2];
        return new TorchPeer(
            threads,
            [
                input,
                ([.. weights[0], .. weights[1], .. weights[2]], [3 * embedding, embedding]), ([.. biases[0], .. biases[1], .. biases[2]], [3 * embedding]),
                (weights[3], [embedding, embedding]), (biases[3], [embedding]),
            ],
            tensors =>
            {
                torch.Tensor[] projected = torch.nn.functional.linear(tensors[0], tensors[1], tensors[2])
                    .view(input.Lengths[0], input.Lengths[1], 3, heads, embedding / heads).permute(2, 0, 3, 1, 4).unbind(0);
                torch.Tensor attended = torch.nn.functional.scaled_dot_product_attention(projected[0], projected[1], projected[2]);
                return torch.nn.functional.linear(
                    attended.transpose(1, 2).reshape(input.Lengths[0], input.Lengths[1], embedding), tensors[3], tensors[4]);
            });
    }

    private static void AddOutputProjection(OnnxModel model, float[] weight, float[] bias, int embedding)
    {
        model.AddNode("MatMul", ["attended", model.AddConstant("weight", weight, embedding, embedding)], ["projected"]);
        model.AddNode("Add", ["projected", model.AddConstant("bias", bias, embedding)], [Output]);
    }

    private static void AddLayerPeer(Comparison comparison, OnnxModel model, int threads, float[] input, nint[] lengths)
    {
        float[] output = new float[input.Length];
        comparison.Add(
            new OnnxRuntimeModel(
                model, threads, [("input", OnnxRuntimeModel.Tensor(input, lengths))], () => output, (Output, OnnxRuntimeModel.Tensor(output, lengths))));
    }

    /// <summary>Matrices with as many rows, side by side.</summary>
    public static float[] JoinColumns(ReadOnlySpan<float[]> matrices, int rows)
    {
        var joined = new float[matrices.Length * matrices[0].Length];
        int columns = matrices[0].Length / rows;
        for (int i = 0; i < matrices.Length; i++)
        {
            for (int row = 0; row < rows; row++)
                Array.Copy(matrices[i], row * columns, joined, ((row * matrices.Length) + i) * columns, columns);
        }

        return joined;
    }

    // The row of the newest key in every head.
    private static float[] Last(float[] values, int heads, int length, int size) =>
        [.. Enumerable.Range(0, heads).SelectMany(head => values.AsSpan((((head + 1) * length) - 1) * size, size).ToArray())];
}
