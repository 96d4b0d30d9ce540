using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Models;

/// <summary>Layers of ONNX models, in each form in which exporters write linear layers.</summary>
public sealed class OnnxModelTests : IDisposable
{
    // Separate matrices with biases, one matrix with a bias, transposed matrices (GPT-2), matrices without a bias.
    private static readonly string[] _models = ["BERT", "GPT-NeoX", "GPT-2", "Llama 2"];

    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    public static TheoryData<string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (string name in _models)
            {
                foreach (OnnxLinear form in Enum.GetValues<OnnxLinear>())
                    cases.Add(name, form.ToString());
            }

            return cases;
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_layer_of_an_exported_model_has_the_weights_of_the_Hub(string name, string form)
    {
        PublishedModel published = PublishedModels.All[name];
        MultiHeadAttentionWeights expected = published.Call(7, length: 4).Weights;
        Write(published, expected, Enum.Parse<OnnxLinear>(form), "model.onnx", value => value);
        using var model = AttentionModel.Open(_folder);
        AttentionModelLayer layer = Assert.Single(model.Layers);
        Assert.Equal((published.Index, typeof(float)), (layer.Index, layer.ElementType));
        AssertEqual(expected, model.ReadLayer(layer).Weights);
    }

    [Fact]
    public void A_mapped_layer_of_PyTorch_has_its_joined_weights()
    {
        MultiHeadAttentionWeights expected = PublishedModels.All["BERT"].Call(7, length: 4).Weights;
        var stored = new StoredLayer("blocks.0.attn.", expected, keyValueHeads: 4);
        stored.Stacked("in_proj");
        stored.Output("out_proj");
        Dictionary<string, Tensor<float>> tensors = stored.Tensors.ToDictionary(
            pair => pair.Key.Replace("in_proj.", "in_proj_", StringComparison.Ordinal), pair => pair.Value);
        File.WriteAllText(
            At("mapping.json"),
            """{"layers":[{"prefix":"blocks.N.attn","joined":"in_proj_","num_attention_heads":4,"transposed":true}]}""");
        foreach (OnnxLinear form in Enum.GetValues<OnnxLinear>())
        {
            File.WriteAllBytes(At("model.onnx"), OnnxCheckpoint.Write(tensors, form));
            using var model = AttentionModel.Open(_folder, At("mapping.json"));
            AssertEqual(expected, model.ReadLayer(Assert.Single(model.Layers)).Weights);
        }
    }

    [Fact]
    public void Elements_of_16_bits_stay()
    {
        PublishedModel published = PublishedModels.All["BERT"];
        MultiHeadAttentionWeights weights = published.Call(7, length: 4).Weights;
        AssertElements(value => (Half)value, value => (float)value);
        AssertElements(value => (BFloat16)value, value => value);

        void AssertElements<T>(Func<float, T> store, Func<T, float> load)
            where T : unmanaged
        {
            Write(published, weights, OnnxLinear.Anonymous, "model.onnx", store);
            using var model = AttentionModel.Open(At("model.onnx"));
            AttentionModelLayer layer = Assert.Single(model.Layers);
            Assert.Equal(typeof(T), layer.ElementType);
            Assert.Equal(
                Array.ConvertAll(Data.Flat(weights.Value), value => load(store(value))), Data.Flat(model.ReadLayer(layer).Weights.Value));
        }
    }

    [Fact]
    public void The_configuration_may_lie_above_a_folder_of_ONNX_files()
    {
        PublishedModel published = PublishedModels.All["BERT"];
        MultiHeadAttentionWeights weights = published.Call(7, length: 4).Weights;
        Directory.CreateDirectory(At("onnx"));
        Write(published, weights, OnnxLinear.Gemm, Path.Combine("onnx", "model.onnx"), value => value);
        foreach (string path in new[] { _folder, At("onnx"), Path.Combine(_folder, "onnx", "model.onnx") })
        {
            using var model = AttentionModel.Open(path);
            Assert.Equal(At(Path.Combine("onnx", "model.onnx")), model.Path);
        }

        Directory.Move(At("onnx"), At("other"));
        Assert.Throws<InvalidDataException>(() => AttentionModel.Open(At("other")));
    }

    [Fact]
    public void Other_tensors_are_read_by_name()
    {
        PublishedModel published = PublishedModels.All["BERT"];
        MultiHeadAttentionWeights weights = published.Call(7, length: 4).Weights;
        Write(published, weights, OnnxLinear.Anonymous, "model.onnx", value => value);
        using var model = AttentionModel.Open(_folder);
        Assert.Contains(published.Prefix + "output.dense.weight", model.TensorNames);
        Assert.Equal(model.TensorNames.Order(StringComparer.Ordinal), model.TensorNames);
        Tensor<float> read = model.ReadTensor(published.Prefix + "output.dense.weight");
        Assert.Equal(weights.Output.Lengths, read.Lengths);
        Assert.Equal(Data.Flat(weights.Output), Data.Flat(read));
        InvalidDataException missing = Assert.Throws<InvalidDataException>(() => model.ReadTensor("none"));
        Assert.Contains("has no tensor 'none'", missing.Message, StringComparison.Ordinal);
        model.Dispose();
        Assert.Throws<ObjectDisposedException>(() => model.ReadTensor(published.Prefix + "output.dense.weight"));
    }

    // What makes a matrix unsure: a use that does not say which axis is which, or two that contradict each other; a factor; a bias of
    // another rank, which a layer would leave out.
    [Theory]
    [InlineData("Einsum", "is an operand of a node 'Einsum', which does not tell whether it is [outputs, inputs]")]
    [InlineData("MatMul, first", "is an operand of a node 'MatMul'")]
    [InlineData("both", "is multiplied by in both orders of its axes")]
    [InlineData("alpha", "is an operand of a node 'Gemm'")]
    [InlineData("bias of rank 2", "is an operand of a node 'Add'")]
    public void A_matrix_whose_order_is_not_known_is_refused(string use, string message)
    {
        PublishedModel published = PublishedModels.All["BERT"];
        MultiHeadAttentionWeights weights = published.Call(7, length: 4).Weights;
        string name = published.Prefix + "self.key.weight";
        var model = new OnnxModel();
        foreach ((string other, Tensor<float> tensor) in published.Tensors(weights))
            model.AddConstant(other, Data.Flat(tensor), tensor.Lengths);
        nint width = weights.Key.Lengths[0];
        string input = model.AddInput("x", [width, width]);
        string added = model.AddConstant("added", new float[width], 1, width);
        string[][] products = use switch
        {
            "Einsum" => [[model.AddNode("Einsum", [input, name], ["y"])]],
            "MatMul, first" => [[model.AddNode("MatMul", [name, input], ["y"])]],
            "both" => [[model.AddNode("MatMul", [input, name], ["y"]), model.AddNode("Gemm", [input, name], ["z"], ("transB", 1))]],
            "alpha" => [[model.AddNode("Gemm", [input, name], ["y"], ("transB", 1), ("alpha", 0.5f))]],
            _ => [[model.AddNode("Add", [model.AddNode("MatMul", [input, name], ["y"]), added], ["z"])]],
        };
        Assert.NotEmpty(products);
        published.Write(_folder, "bert", weights);
        File.WriteAllBytes(At("model.onnx"), model.Build(17, "y"));
        using var opened = AttentionModel.Open(At("model.onnx"));
        Assert.Contains(
            $"The tensor '{name}' in '{At("model.onnx")}' {message}",
            Assert.Throws<InvalidDataException>(() => opened.ReadLayer(opened.Layers[0])).Message,
            StringComparison.Ordinal);
    }

    private static void AssertEqual(MultiHeadAttentionWeights expected, MultiHeadAttentionWeights read)
    {
        AssertTensor(expected.Query, read.Query);
        AssertTensor(expected.Key, read.Key);
        AssertTensor(expected.Value, read.Value);
        AssertTensor(expected.Output, read.Output);
        AssertTensor(expected.QueryBias, read.QueryBias);
        AssertTensor(expected.KeyBias, read.KeyBias);
        AssertTensor(expected.ValueBias, read.ValueBias);
        AssertTensor(expected.OutputBias, read.OutputBias);
    }

    private static void AssertTensor(Tensor<float>? expected, Tensor<float>? read)
    {
        Assert.Equal(expected is null, read is null);
        if (expected is null)
            return;
        Assert.Equal(expected.Lengths, read!.Lengths);
        Assert.Equal(Data.Flat(expected), Data.Flat(read));
    }

    private void Write<T>(PublishedModel published, MultiHeadAttentionWeights weights, OnnxLinear form, string file, Func<float, T> store)
        where T : unmanaged
    {
        published.Write(_folder, published.Types[0], weights);
        File.Delete(At("model.safetensors"));
        Dictionary<string, Tensor<float>> tensors = published.Tensors(weights);
        if (published.Types[0] == "gpt2")
        {
            foreach ((string name, Tensor<float> matrix) in tensors.Where(pair => pair.Value.Rank == 2).ToArray())
                tensors[name] = Tensor.Transpose(matrix).ToDenseTensor();
        }

        File.WriteAllBytes(
            At(file),
            OnnxCheckpoint.Write(
                tensors.ToDictionary(
                    pair => pair.Key, pair => Tensor.Create(Data.Flat(pair.Value).Select(store).ToArray(), pair.Value.Lengths)),
                form));
    }

    private string At(string file) => Path.Combine(_folder, file);
}
