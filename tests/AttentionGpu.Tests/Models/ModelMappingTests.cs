using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Layers;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Models;

/// <summary>Models whose layers a file describes, in the place of <c>config.json</c>.</summary>
public sealed class ModelMappingTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    private string Mapping => Path.Combine(_folder, "mapping.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(DescribedLayers.All), MemberType = typeof(DescribedLayers))]
    public void A_described_layer_is_that_of_the_configuration(string name, string layer)
    {
        PublishedModel published = PublishedModels.All[name];
        LayerCall call = published.Call(Environment.TickCount, length: 9);
        published.Write(_folder, published.Types[0], call.Weights);
        using var known = AttentionModel.Open(_folder);
        File.Delete(Path.Combine(_folder, "config.json"));
        Describe(layer);
        using var model = AttentionModel.Open(_folder, Mapping);
        AttentionModelLayer found = Assert.Single(model.Layers);
        Assert.Equal(Shown(known.Layers[0]), Shown(found));

        using MultiHeadAttention<float> loaded = model.LoadLayer<float>(Engines.Reference, found);
        Tensor<float> output = Data.Poisoned(call.Query.Lengths);
        Tensor<float> keys = call.Key ?? call.Query;
        loaded.Forward(call.Query, keys, keys, output, call.Causal);
        Close.Assert(LayerDefinition.Run(call).Output, output, $"{name}, {call}");

        static string Shown(AttentionModelLayer layer) =>
            $"{layer.Stack} {layer.Index} {layer.IsCross} {layer.IsCausal} {layer.Prefix} {layer.Variant} {layer.Config}";
    }

    [Theory]
    [InlineData("transformer.resblocks.7.attn.", "transformer.resblocks.N.attn", 7)]
    [InlineData("", "", 0)]
    [InlineData("attn.", "attn.", 0)]
    public void Matrices_that_PyTorch_joins_are_read_under_its_names(string prefix, string described, int index)
    {
        PublishedModel published = PublishedModels.All["encoder and decoder: encoder"] with
        {
            Prefix = prefix,
            Store = layer =>
            {
                layer.Stacked("in_proj");
                layer.Output("out_proj");
            },
        };
        LayerCall call = published.Call(Environment.TickCount, length: 7);
        SafetensorsFile.Write(
            Path.Combine(_folder, "model.safetensors"),
            published.Tensors(call.Weights).ToDictionary(pair => pair.Key.Replace("in_proj.", "in_proj_", StringComparison.Ordinal), pair => pair.Value));
        Describe($$"""{"prefix":"{{described}}","joined":"in_proj_","num_attention_heads":4}""");
        using var model = AttentionModel.Open(_folder, Mapping);
        AttentionModelLayer found = model.FindLayer(index);
        Assert.Equal(prefix.TrimEnd('.'), found.Prefix);
        using MultiHeadAttention<float> loaded = model.LoadLayer<float>(Engines.Reference, found);
        Close.Assert(LayerDefinition.Run(call).Output, loaded.Forward(call.Query), call.ToString());
    }

    [Theory]
    [InlineData("{}", "has no list 'layers'")]
    [InlineData("""{"layers":[]}""", "has no list 'layers' of one object or more")]
    [InlineData("""{"layers":[3]}""", "'layers[0]' of '")]
    [InlineData("""{"layers":[{}],"model_type":"llama"}""", "has 'model_type', which is not one of: layers")]
    [InlineData("""{"layers":[{}]}""", "has no 'prefix'")]
    [InlineData("""{"layers":[{"prefix":"a.N.b.N.c"}]}""", "must have one part 'N'")]
    [InlineData("""{"layers":[{"prefix":"a.N.b"}]}""", "has no attention layer that '")]
    [InlineData("""{"layers":[{"prefix":"layers.N.self_attn","output":"o_proj","num_attention_heads":4}]}""", "has no attention layer that '")]
    [InlineData("""{"layers":[{"prefix":"model.layers.N.self_attn","output":"o_proj"}]}""", "has no 'num_attention_heads'")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","heads":4}]}""", "has 'heads', which is not one of: prefix, ")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","prefix":"a.N.c"}]}""", "has 'prefix' twice")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","stack":"middle"}]}""", "it must be one of: encoder, decoder, text, vision")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","joined":"qkv","query":"q"}]}""", "has both 'joined' and 'query'")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","order":"grouped"}]}""", "has 'order' and no 'joined'")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","rope_scaling":{"type":"linear","factor":2}}]}""", "has 'rope_scaling' and no 'rope_theta'")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","interleaved":true}]}""", "has 'interleaved' and no 'rope_theta'")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","alibi":"bloom","alibi_bias_max":16}]}""", "has 'alibi_bias_max' and no 'alibi' = 'mpt'")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","rms_norm_eps":1e-5}]}""", "has 'rms_norm_eps' and no 'norms'")]
    [InlineData(
        """{"layers":[{"prefix":"a.N.b","relative_attention_max_distance":9}]}""", "has 'relative_attention_max_distance' and no 'relative_bias'")]
    [InlineData("""{"layers":[{"prefix":"\ud800"}]}""", "is no valid JSON")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","\udc00":1}]}""", "is no valid JSON")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","causal":"yes"}]}""", "it must be true or false")]
    [InlineData("""{"layers":[{"prefix":"a.N.b","ignore":"x"}]}""", "it must be a list of texts")]
    [InlineData("""{"layers":[{"prefix":7}]}""", "it must be a text")]
    [InlineData("[]", "is no JSON object")]
    [InlineData("{", "is no valid JSON")]
    [InlineData(
        """{"layers":[{"prefix":"model.layers.N.self_attn","output":"o_proj","num_attention_heads":1000000000}]}""", "1000000000 heads do not divide")]
    [InlineData(
        """{"layers":[{"prefix":"model.layers.N.self_attn","output":"o_proj","num_attention_heads":4,"alibi":"mpt"}]}""", "has no 'alibi_bias_max'")]
    [InlineData(
        """{"layers":[{"prefix":"model.layers.N.self_attn","output":"o_proj","num_attention_heads":4,"norms":"plain"}]}""", "has no 'rms_norm_eps'")]
    [InlineData(
        """{"layers":[{"prefix":"model.layers.N.self_attn","output":"o_proj","num_attention_heads":4,"sinks":true}]}""",
        "has no tensor 'model.layers.3.self_attn.sinks', which layers of 'layers[0]' of '")]
    public void A_mapping_that_does_not_fit_is_one_clear_error(string json, string message)
    {
        PublishedModel published = PublishedModels.All["Llama 2"];
        published.Write(_folder, "llama", published.Call(3, length: 5).Weights);
        File.WriteAllText(Mapping, json);
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() =>
        {
            using var model = AttentionModel.Open(_folder, Mapping);
            model.ReadLayer(model.Layers[0]);
        });
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', exception.Message);
    }

    [Theory]
    [InlineData("decoder.block.1.layer.0.SelfAttention.", "decoder.block.N.layer.0.SelfAttention", 3)]
    [InlineData("decoder.block.0.layer.1.SelfAttention.", "decoder.block.N.layer.1.SelfAttention", null)]
    [InlineData("decoder.block.1.SelfAttention.", "decoder.block.1.SelfAttention", 3)]
    public void Windows_are_listed_by_the_number_of_the_layer(string prefix, string described, int? left)
    {
        PublishedModel published = PublishedModels.All["encoder and decoder: encoder"] with { Prefix = prefix };
        published.Write(_folder, "nonesuch", published.Call(1, length: 3).Weights);
        Describe(
            $$"""
            {"prefix":"{{described}}","num_attention_heads":4,"sliding_window":4,"layer_types":["full_attention","sliding_attention"]}
            """);
        using var model = AttentionModel.Open(_folder, Mapping);
        Assert.Equal(left, Assert.Single(model.Layers).Config.Window?.Left);
    }

    [Fact]
    public void A_prefix_that_several_layers_have_is_refused()
    {
        PublishedModel published = PublishedModels.All["Llama 2"];
        published.Write(_folder, "llama", published.Call(3, length: 5).Weights);
        const string layer = """{"prefix":"model.layers.N.self_attn","output":"o_proj","num_attention_heads":""";
        Describe($$"""{{layer}}4},{{layer}}8,"cross":true}""");
        using var model = AttentionModel.Open(_folder, Mapping);
        ArgumentException exception = Assert.Throws<ArgumentException>(() => model.FindLayer("model.layers.3.self_attn"));
        Assert.Equal("prefix", exception.ParamName);
        Assert.Contains("which several layers have", exception.Message, StringComparison.Ordinal);
        Assert.Equal(8, model.FindLayer(3, isCross: true).Config.Heads);
    }

    [Fact]
    public void A_type_that_is_not_known_points_to_a_mapping()
    {
        PublishedModel published = PublishedModels.All["Llama 2"];
        published.Write(_folder, "new", published.Call(3, length: 5).Weights);
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => AttentionModel.Open(_folder).Dispose());
        Assert.Contains("--mapping of the command line), can take its place.", exception.Message, StringComparison.Ordinal);
        Assert.Throws<FileNotFoundException>(() => AttentionModel.Open(_folder, Mapping).Dispose());
    }

    private void Describe(string layer) => File.WriteAllText(Mapping, $$"""{"layers":[{{layer}}]}""");
}
