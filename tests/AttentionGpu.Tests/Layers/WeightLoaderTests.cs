using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

public sealed class WeightLoaderTests : IDisposable
{
    private static readonly MultiHeadAttentionLoadOptions _withoutPositions = new() { Positions = LayerPositions.None };

    private readonly string _path = Path.GetTempFileName();
    private readonly LayerCase _problem = LayerCase.Create(new LayerSizes(2, 2, 1, 4, 5, 5, false, false, true, false, 4));
    private readonly LayerCase _grouped = LayerCase.Create(new LayerSizes(2, 2, 3, 4, 5, 5, false, false, true, false, 4));

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData("")]
    [InlineData("encoder.layers.0.self_attn")]
    [InlineData("encoder.layers.0.self_attn.")]
    public void Joined_names_load(string prefix)
    {
        foreach (LayerCase problem in new[] { _problem, _grouped })
        {
            MultiHeadAttentionWeights weights = problem.Weights;
            string dotted = prefix.Length == 0 || prefix.EndsWith('.') ? prefix : prefix + ".";
            (string, Tensor<float>)[] layer =
            [
                (dotted + "in_proj_weight", Stack(weights.Query, weights.Key, weights.Value)),
                (dotted + "in_proj_bias", Stack(weights.QueryBias!, weights.KeyBias!, weights.ValueBias!)),
                (dotted + "out_proj.weight", weights.Output),
                (dotted + "out_proj.bias", weights.OutputBias!),
            ];
            Write([.. layer, .. prefix.Length == 0 ? [] : ((string, Tensor<float>)[])[("unrelated", weights.Output)]]);
            AssertLoads(problem, prefix, problem.Config.KeyValueHeads);
        }
    }

    [Fact]
    public void An_extra_key_and_its_value_load()
    {
        MultiHeadAttentionWeights weights = _problem.Weights;
        MultiHeadAttentionConfig config = _problem.Config;
        Tensor<float> key = Data.Random(new Random(1), config.EmbeddingSize);
        Tensor<float> value = Data.Random(new Random(2), config.EmbeddingSize);
        (string, Tensor<float>)[] file =
            [("in_proj_weight", Stack(weights.Query, weights.Key, weights.Value)), ("out_proj.weight", weights.Output)];
        Tensor<float> Row(Tensor<float> vector) => Tensor.Create(Data.Flat(vector), [1, 1, vector.FlattenedLength]);
        Write([.. file, ("bias_k", Row(key)), ("bias_v", Row(value))]);
        using MultiHeadAttention<float> loaded = MultiHeadAttention.Load<float>(Engines.Reference, _path, config.Heads);
        using var made = new MultiHeadAttention<float>(
            Engines.Reference,
            config,
            new MultiHeadAttentionWeights
            {
                Query = weights.Query,
                Key = weights.Key,
                Value = weights.Value,
                Output = weights.Output,
                ExtraKey = key,
                ExtraValue = value,
            });
        Assert.Equal(1, loaded.ExtraKeys);
        Tensor<float> input = Data.Random(new Random(3), 2, 5, config.EmbeddingSize);
        Assert.Equal(Data.Flat(made.Forward(input)), Data.Flat(loaded.Forward(input)));

        AssertRefused("'ExtraValue' is missing", [.. file, ("bias_k", Row(key))], config.Heads);
        AssertRefused("'ExtraKey' is missing", [.. file, ("bias_v", Row(value))], config.Heads);
        AssertRefused("'bias_k' of shape", [.. file, ("bias_k", key), ("bias_v", Row(value))], config.Heads);
        AssertRefused("ExtraKey", [.. file, ("bias_k", Row(Data.Random(new Random(1), 3))), ("bias_v", Row(value))], config.Heads);
        AssertRefused("bias_k", [.. Layers(weights), ("bias_k", Row(key)), ("bias_v", Row(value))], config.Heads);
    }

    [Fact]
    public void Separate_sizes_load()
    {
        LayerCase problem = LayerCase.Create(new LayerSizes(2, 2, 1, 4, 5, 9, true, true, true, false, 4));
        MultiHeadAttentionWeights weights = problem.Weights;
        Write(
            ("q_proj_weight", weights.Query),
            ("k_proj_weight", weights.Key),
            ("v_proj_weight", weights.Value),
            ("in_proj_bias", Stack(weights.QueryBias!, weights.KeyBias!, weights.ValueBias!)),
            ("out_proj.weight", weights.Output),
            ("out_proj.bias", weights.OutputBias!));
        AssertLoads(problem, null, null);
    }

    [Theory]
    [InlineData("out_proj")]
    [InlineData("o_proj")]
    public void Separate_layers_load_and_tell_their_key_value_heads(string output)
    {
        MultiHeadAttentionWeights weights = _grouped.Weights;
        Write(
            ("model.q_proj.weight", weights.Query),
            ("model.q_proj.bias", weights.QueryBias!),
            ("model.k_proj.weight", weights.Key),
            ("model.k_proj.bias", weights.KeyBias!),
            ("model.v_proj.weight", weights.Value),
            ("model.v_proj.bias", weights.ValueBias!),
            ($"model.{output}.weight", weights.Output),
            ($"model.{output}.bias", weights.OutputBias!));
        AssertLoads(_grouped, "model", null);
    }

    [Fact]
    public void Heads_need_not_fill_the_embedding()
    {
        // As in checkpoints whose head size is set on its own: 3 heads of 8 from an embedding of 10.
        var random = new Random(6);
        var config = new MultiHeadAttentionConfig { EmbeddingSize = 10, Heads = 3, HeadSize = 8, KeyValueHeads = 1 };
        var weights = new MultiHeadAttentionWeights
        {
            Query = Data.Random(random, 24, 10),
            Key = Data.Random(random, 8, 10),
            Value = Data.Random(random, 8, 10),
            Output = Data.Random(random, 10, 24),
        };
        Tensor<float> input = Data.Random(random, 2, 6, 10);
        Write(
            ("q_proj.weight", weights.Query), ("k_proj.weight", weights.Key), ("v_proj.weight", weights.Value),
            ("o_proj.weight", weights.Output));
        using MultiHeadAttention<float> layer =
            MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 3, options: _withoutPositions);
        Assert.Equal(8, layer.Config.HeadSize);
        Tensor<float> output = Data.Poisoned(2, 6, 10);
        layer.Forward(input.AsReadOnlyTensorSpan(), output.AsTensorSpan());
        Close.Assert(NaiveLayer.Run(config, weights, input, input, input).Output, output, "head size 8");
    }

    [Fact]
    public void What_does_not_fit_is_one_clear_error()
    {
        MultiHeadAttentionWeights weights = _problem.Weights;
        (string, Tensor<float>) joined = ("in_proj_weight", Stack(weights.Query, weights.Key, weights.Value));
        (string, Tensor<float>) output = ("out_proj.weight", weights.Output);

        AssertRefused("in_proj_weight", [output]);
        AssertRefused("out_proj.weight", [joined]);
        AssertRefused("other.in_proj_weight", [joined, output], prefix: "other");
        AssertRefused("5 heads", [joined, output], heads: 5);
        AssertRefused("rank 2", [("in_proj_weight", weights.QueryBias!), output]);
        AssertRefused("in_proj_bias", [joined, output, ("in_proj_bias", weights.QueryBias!)]);
        AssertRefused("OutputBias", [joined, output, ("out_proj.bias", Data.Random(new Random(1), 7))]);
        AssertRefused("no empty axis", [("in_proj_weight", Tensor.CreateFromShape<float>([0, 8])), output]);
        AssertRefused(
            "head size",
            [("q_proj.weight", weights.Query), ("k_proj.weight", Data.Random(new Random(1), 3, 8)), ("v_proj.weight", weights.Value), output]);
        Assert.Throws<ArgumentOutOfRangeException>(() => MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 2, keyValueHeads: 0));
        Assert.Throws<FileNotFoundException>(() => MultiHeadAttention.Load<float>(Engines.Reference, _path + ".missing", heads: 2));
    }

    [Theory]
    [InlineData("q_layernorm.weight")]
    [InlineData("k_layernorm.weight")]
    [InlineData("q_norm.bias")]
    [InlineData("norm_q.weight")]
    [InlineData("query_norm.weight")]
    [InlineData("v_norm.weight")]
    [InlineData("attn_sub_norm.weight")]
    [InlineData("relative_attention_bias.weight")]
    [InlineData("gate_proj.weight")]
    [InlineData("o_proj.weight_scale")]
    [InlineData("q_proj.lora_A.weight")]
    [InlineData("attention_sink")]
    [InlineData("k_scale")]
    [InlineData("rotary_emb.scale")]
    public void A_parameter_that_the_layer_does_not_apply_is_refused_by_its_name(string name)
    {
        MultiHeadAttentionWeights weights = _problem.Weights;
        (string, Tensor<float>)[][] files =
        [
            [("in_proj_weight", Stack(weights.Query, weights.Key, weights.Value)), ("out_proj.weight", weights.Output)],
            [
                ("q_proj_weight", weights.Query), ("k_proj_weight", weights.Key), ("v_proj_weight", weights.Value),
                ("out_proj.weight", weights.Output),
            ],
            Layers(weights),
        ];
        Tensor<float> extra = Data.Random(new Random(1), 4);
        foreach ((string, Tensor<float>)[] file in files)
        {
            AssertRefused($"holds what this layer does not apply, and its results would be wrong: '{name}'. ", [.. file, (name, extra)]);

            // Another layer's does not count.
            (string, Tensor<float>)[] named =
                [.. file.Select(tensor => ("a." + tensor.Item1, tensor.Item2)), (name, extra), ("b." + name, extra)];
            Write(named);
            MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 2, prefix: "a", options: _withoutPositions).Dispose();
            AssertRefused(
                $"would be wrong: 'a.{name}'. All that starts with 'a.' is the layer's.", [.. named, ("a." + name, extra)], prefix: "a");
        }
    }

    [Fact]
    public void Ten_parameters_that_nobody_reads_are_named_and_the_others_counted()
    {
        Tensor<float> extra = Data.Random(new Random(1), 4);
        (string, Tensor<float>)[] layers = Layers(_problem.Weights);
        AssertRefused(
            "'x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'x6', 'x7', 'x8', 'x9'. ",
            [.. layers, .. Enumerable.Range(0, 10).Select(i => ($"x{i}", extra))]);
        AssertRefused("'x8', 'x9' and 2 more. ", [.. layers, .. Enumerable.Range(0, 12).Select(i => ($"x{i:X}", extra))]);

        // Names of two sets: only one can be read.
        Write([.. layers, ("in_proj_weight", extra)]);
        Assert.Contains(
            "'k_proj.weight', 'o_proj.weight', 'q_proj.weight', 'v_proj.weight'. ",
            Assert.Throws<InvalidDataException>(() => MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 2)).Message,
            StringComparison.Ordinal);
        AssertRefused("'o_proj.weight'. ", [.. layers, ("out_proj.weight", _problem.Weights.Output)]);
    }

    [Theory]
    [InlineData("rotary_emb.inv_freq", 4)]
    [InlineData("rotary_emb.cos_cached", 1, 1, 8, 4)]
    [InlineData("masked_bias")]
    [InlineData("masked_bias", 1)]
    public void A_buffer_without_influence_is_let_through(string name, params int[] lengths)
    {
        var options = new MultiHeadAttentionLoadOptions { Rotary = new RotaryEmbedding() };
        nint[] shape = lengths.Length == 0 ? [1] : [.. lengths.Select(one => (nint)one)];
        (string, Tensor<float>)[] file = [.. Layers(_problem.Weights), (name, Data.Random(new Random(1), shape))];
        Write(file);
        MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 2, options: options).Dispose();
        AssertRefused(
            $"'p.other.{name}'", [.. file.Select(one => ("p." + one.Item1, one.Item2)), ("p.other." + name, file[^1].Item2)], prefix: "p");
        if (name.StartsWith("rotary", StringComparison.Ordinal))
        {
            Write(file);
            ArgumentException exception = Assert.Throws<ArgumentException>(
                () => MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 2, options: _withoutPositions));
            Assert.Equal("options", exception.ParamName);
            Assert.Contains($"has '{name}'", exception.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_causal_mask_is_a_buffer_without_influence_and_no_other_mask_is()
    {
        float[] causal = [1, 0, 0, 1, 1, 0, 1, 1, 1];
        (string, Tensor<float>)[] layers = Layers(_problem.Weights);
        Write([.. layers, ("bias", Tensor.Create(causal, [1, 1, 3, 3]))]);
        MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 2, options: _withoutPositions).Dispose();

        // A window of two keys, as in GPT-Neo; a key after the query; and shapes that are none of a mask.
        AssertRefused("'bias'", [.. layers, ("bias", Tensor.Create([1f, 0, 0, 1, 1, 0, 0, 1, 1], [1, 1, 3, 3]))]);
        AssertRefused("'bias'", [.. layers, ("bias", Tensor.Create([1f, 0, 1, 1, 1, 0, 1, 1, 1], [1, 1, 3, 3]))]);
        AssertRefused("'bias'", [.. layers, ("bias", Tensor.Create(causal, [3, 3]))]);
        AssertRefused("'bias'", [.. layers, ("bias", Tensor.Create(causal, [1, 1, 1, 9]))]);
        AssertRefused("'masked_bias'", [.. layers, ("masked_bias", Tensor.Create([1f, 2f], [2]))]);
    }

    [Fact]
    public void Every_part_of_a_layer_must_be_there_and_have_its_shape()
    {
        MultiHeadAttentionWeights weights = _grouped.Weights;
        Dictionary<string, Tensor<float>> layers = new()
        {
            ["q_proj.weight"] = weights.Query,
            ["k_proj.weight"] = weights.Key,
            ["v_proj.weight"] = weights.Value,
            ["out_proj.weight"] = weights.Output,
            ["q_proj.bias"] = weights.QueryBias!,
            ["k_proj.bias"] = weights.KeyBias!,
            ["v_proj.bias"] = weights.ValueBias!,
            ["out_proj.bias"] = weights.OutputBias!,
        };
        Dictionary<string, Tensor<float>> sizes = new()
        {
            ["q_proj_weight"] = weights.Query,
            ["k_proj_weight"] = weights.Key,
            ["v_proj_weight"] = weights.Value,
            ["out_proj.weight"] = weights.Output,
            ["in_proj_bias"] = Stack(weights.QueryBias!, weights.KeyBias!, weights.ValueBias!),
            ["out_proj.bias"] = weights.OutputBias!,
        };
        foreach (Dictionary<string, Tensor<float>> names in new[] { layers, sizes })
        {
            foreach ((string name, Tensor<float> tensor) in names)
            {
                (string, Tensor<float>)[] others = [.. names.Where(pair => pair.Key != name).Select(pair => (pair.Key, pair.Value))];
                bool isBias = name.EndsWith("bias", StringComparison.Ordinal);
                if (!isBias)
                    AssertRefused(name, others, heads: 6);
                AssertRefused(
                    $"'{name}' of shape", [.. others, (name, Tensor.Create(Data.Flat(tensor), [1, .. tensor.Lengths]))], heads: 6);
                nint[] longer = [tensor.Lengths[0] + 1, .. tensor.Lengths[1..]];
                AssertRefused(_path, [.. others, (name, Data.Random(new Random(1), longer))], heads: 6);
                AssertRefused("no empty axis", [.. others, (name, Tensor.CreateFromShape<float>([0, .. tensor.Lengths[1..]]))], heads: 6);
            }
        }
    }

    [Fact]
    public void Joined_rows_must_divide_into_heads()
    {
        // 6 query heads of 4 and 2 key/value heads twice: 40 rows in 10 parts.
        MultiHeadAttentionWeights weights = _grouped.Weights;
        (string, Tensor<float>)[] file =
            [("in_proj_weight", Stack(weights.Query, weights.Key, weights.Value)), ("out_proj.weight", weights.Output)];
        AssertRefused("40 rows, which 6 heads and 6 key/value heads do not divide", file, heads: 6);
        Assert.Throws<InvalidDataException>(() => MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 6, keyValueHeads: 3).Dispose());
        using MultiHeadAttention<float> layer = MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 6, keyValueHeads: 2);
        Assert.Equal((4, 24, 24, 24), (layer.Config.HeadSize, layer.Config.EmbeddingSize, layer.Config.KeySize, layer.Config.ValueSize));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    public void One_head_is_enough(int heads, int keyValueHeads)
    {
        var config = new MultiHeadAttentionConfig { EmbeddingSize = 8, Heads = heads, KeyValueHeads = keyValueHeads };
        var weights = MultiHeadAttentionWeights.Random(config, 1);
        Write(("in_proj_weight", Stack(weights.Query, weights.Key, weights.Value)), ("out_proj.weight", weights.Output));
        using MultiHeadAttention<float> layer = MultiHeadAttention.Load<float>(Engines.Reference, _path, heads, keyValueHeads);
        Assert.Equal((heads, keyValueHeads), (layer.Config.Heads, layer.Config.KeyValueHeads));
    }

    [Theory]
    [InlineData(5)]
    [InlineData(48)]
    public void Queries_must_divide_into_heads(int heads)
    {
        AssertRefused($"24 elements, which {heads} heads do not divide", Layers(_grouped.Weights), heads);
    }

    [Fact]
    public void Loading_takes_batch_first_from_the_caller()
    {
        Write(
            ("in_proj_weight", Stack(_problem.Weights.Query, _problem.Weights.Key, _problem.Weights.Value)),
            ("out_proj.weight", _problem.Weights.Output));
        foreach (bool batchFirst in new[] { true, false })
        {
            using MultiHeadAttention<float> layer = MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 2, batchFirst: batchFirst);
            Assert.Equal(batchFirst, layer.Config.BatchFirst);
        }
    }

    private void AssertRefused(string mention, (string, Tensor<float>)[] tensors, int heads = 2, string? prefix = null)
    {
        Write(tensors);
        InvalidDataException exception = Assert.Throws<InvalidDataException>(
            () => MultiHeadAttention.Load<float>(Engines.Reference, _path, heads, prefix: prefix, options: _withoutPositions));
        Assert.Contains(mention, exception.Message, StringComparison.Ordinal);
    }

    private void AssertLoads(LayerCase problem, string? prefix, int? keyValueHeads)
    {
        using MultiHeadAttention<float> layer =
            MultiHeadAttention.Load<float>(
                Engines.Reference, _path, problem.Config.Heads, keyValueHeads, prefix, options: _withoutPositions);
        Assert.Equal(problem.Config.KeyValueHeads, layer.Config.KeyValueHeads);
        Tensor<float> output = Data.Poisoned(problem.Query.Lengths);
        layer.Forward(
            problem.Query.AsReadOnlyTensorSpan(), problem.Key.AsReadOnlyTensorSpan(), problem.Value.AsReadOnlyTensorSpan(), output.AsTensorSpan());
        Assert.Equal(Data.Flat(problem.Run(Engines.Reference)), Data.Flat(output));
    }

    private static (string, Tensor<float>)[] Layers(MultiHeadAttentionWeights weights) =>
    [
        (
            "q_proj.weight", weights.Query), ("k_proj.weight", weights.Key), ("v_proj.weight", weights.Value), ("o_proj.weight",
            weights.Output),
    ];

    private void Write(params (string Name, Tensor<float> Tensor)[] tensors) =>
        SafetensorsFile.Write(_path, tensors.ToDictionary(entry => entry.Name, entry => entry.Tensor));

    private static Tensor<float> Stack(params Tensor<float>[] tensors)
    {
        float[] values = [.. tensors.SelectMany(Data.Flat)];
        nint rows = (nint)tensors.Sum(tensor => tensor.Lengths[0]);
        return tensors[0].Rank == 1 ? Tensor.Create(values, [rows]) : Tensor.Create(values, [rows, tensors[0].Lengths[1]]);
    }
}
