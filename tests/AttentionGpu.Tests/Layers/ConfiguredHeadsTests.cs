using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Models;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>Heads of <see cref="MultiHeadAttention.Load{T}"/>: those of <c>config.json</c>, whatever is stated besides.</summary>
public sealed class ConfiguredHeadsTests : IDisposable
{
    private const string Whisper = """{"model_type":"whisper","encoder_attention_heads":4,"decoder_attention_heads":8}""";
    private const string Clip =
        """{"model_type":"clip","text_config":{"num_attention_heads":8},"vision_config":{"num_attention_heads":4}}""";

    private static readonly MultiHeadAttentionLoadOptions _none = new() { Positions = LayerPositions.None };

    private readonly CheckpointFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("model.layers.0.self_attn", """{"model_type":"llama","num_attention_heads":4,"rope_theta":10000.0}""")]
    [InlineData("model.encoder.layers.0.self_attn", Whisper)]
    [InlineData("vision_model.encoder.layers.3.self_attn", Clip)]
    [InlineData("transformer.h.2.attn", """{"model_type":"gptj","n_head":4,"rotary_dim":4,"rotary":true,"rope_theta":10000.0}""")]
    public void Heads_that_are_left_out_are_those_of_the_configuration_and_others_are_refused(string prefix, string json)
    {
        _folder.Write(prefix, CheckpointFolder.Weights(), "out_proj");
        _folder.WriteConfiguration(json);
        foreach (MultiHeadAttentionLoadOptions? options in new[] { null, _none })
        {
            Assert.Equal(4, Load(null, prefix, options).Heads);
            Assert.Equal(4, Load(4, prefix, options).Heads);
            foreach (int wrong in new[] { 2, 8 })
            {
                InvalidDataException exception = Assert.Throws<InvalidDataException>(() => Load(wrong, prefix, options));
                Assert.Contains("heads' = 4", exception.Message.Replace("n_head'", "heads'", StringComparison.Ordinal), StringComparison.Ordinal);
                Assert.Contains($", but the layer has {wrong}.", exception.Message, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData("""{"model_type":"nonesuch","num_attention_heads":4}""", 4)]
    [InlineData("""{"model_type":"nonesuch","n_heads":4,"num_heads":[1,2]}""", 4)]
    [InlineData("""{"text_config":{"num_attention_heads":4},"vision_config":{"num_attention_heads":4}}""", 4)]
    [InlineData("""{"encoder_attention_heads":4,"decoder_attention_heads":2}""", null)]
    [InlineData("""{"model_type":"nonesuch"}""", null)]
    [InlineData(null, null)]
    public void Joined_names_have_the_heads_of_any_configuration(string? json, int? heads)
    {
        WriteJoined();
        if (json is not null)
            _folder.WriteConfiguration(json);
        if (heads is int one)
        {
            Assert.Equal(one, Load(null, "attn").Heads);
            Assert.Contains("= 4, but the layer has 2.", Assert.Throws<InvalidDataException>(() => Load(2, "attn")).Message, StringComparison.Ordinal);
        }
        else
        {
            ArgumentException exception = Assert.Throws<ArgumentException>(() => Load(null, "attn"));
            Assert.Equal("heads", exception.ParamName);
            Assert.Contains("'heads' must be given (--heads of the command line): ", exception.Message, StringComparison.Ordinal);
            Assert.Equal(2, Load(2, "attn").Heads);
        }
    }

    [Fact]
    public void Joined_names_of_a_model_with_positions_need_a_word_of_them()
    {
        WriteJoined();
        _folder.WriteConfiguration("""{"model_type":"llama","num_attention_heads":4,"rope_theta":10000.0}""");
        ArgumentException exception = Assert.Throws<ArgumentException>(() => Load(4, "attn"));
        Assert.Equal("options", exception.ParamName);
        Assert.Contains("has the names of nn.MultiheadAttention, which has no positions", exception.Message, StringComparison.Ordinal);
        Assert.Equal(4, Load(null, "attn", _none).Heads);
        Assert.Equal(10_000.0, Load(null, "attn", new() { Rotary = new() }).Rotary?.Base);
        _folder.WriteConfiguration("""{"model_type":"opt","num_attention_heads":4}""");
        Assert.Equal(4, Load(null, "attn").Heads);
    }

    [Fact]
    public void A_layer_without_its_place_in_the_model_may_have_the_heads_of_each_part()
    {
        _folder.Write("attn", CheckpointFolder.Weights(), "out_proj");
        _folder.WriteConfiguration(Whisper);
        Assert.Equal(4, Load(4, "attn").Heads);
        Assert.Contains(
            "has 'encoder_attention_heads' = 4 and 'decoder_attention_heads' = 8",
            Assert.Throws<ArgumentException>(() => Load(null, "attn")).Message, StringComparison.Ordinal);
        Assert.Contains(
            "has 'encoder_attention_heads' = 4 and 'decoder_attention_heads' = 8, but the layer has 2.",
            Assert.Throws<InvalidDataException>(() => Load(2, "attn")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_layer_of_a_model_of_several_parts_needs_the_prefix_of_one()
    {
        _folder.Write("attn", CheckpointFolder.Weights(), "out_proj");
        _folder.WriteConfiguration(Clip);
        Assert.Contains(
            "is of a model of several parts, and the prefix 'attn.' is that of no layer: 'text_model.encoder.layers.N.self_attn', "
            + "'vision_model.encoder.layers.N.self_attn'.",
            Assert.Throws<InvalidDataException>(() => Load(4, "attn")).Message, StringComparison.Ordinal);
        Assert.Equal(8, Load(8, "attn", _none).Heads);
    }

    [Theory]
    [InlineData("BERT", "bert")]
    [InlineData("GPT-2", "gpt2")]
    public void A_model_with_other_names_is_pointed_to_where_it_is_read(string name, string type)
    {
        PublishedModel published = PublishedModels.All[name];
        string folder = Path.GetDirectoryName(_folder.File)!;
        published.Write(folder, type, published.Call(1, length: 3).Weights);
        InvalidDataException exception = Assert.Throws<InvalidDataException>(
            () => MultiHeadAttentionWeights.Load(Path.Combine(folder, "model.safetensors"), prefix: published.Prefix));
        Assert.Contains(
            $"Layers of a model of the type '{type}' have other names: AttentionModel.Open reads them (--model", exception.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_layer_keeps_the_elements_of_the_file_unless_others_are_asked_for()
    {
        MultiHeadAttentionWeights weights = CheckpointFolder.Weights();
        AssertStored(value => (Half)value);
        AssertStored(value => (BFloat16)value);
        AssertStored(value => value);

        void AssertStored<T>(Converter<float, T> store)
            where T : unmanaged
        {
            Tensor<T> Stored(Tensor<float> tensor) => Tensor.Create(Array.ConvertAll(Data.Flat(tensor), store), tensor.Lengths);
            SafetensorsFile.Write(_folder.File, new Dictionary<string, Tensor<T>>
            {
                ["q_proj.weight"] = Stored(weights.Query),
                ["k_proj.weight"] = Stored(weights.Key),
                ["v_proj.weight"] = Stored(weights.Value),
                ["o_proj.weight"] = Stored(weights.Output),
            });
            using var layer = MultiHeadAttention.Load(Engines.Reference, _folder.File, 4, options: _none);
            Assert.IsType<MultiHeadAttention<T>>(layer);
        }
    }

    private void WriteJoined()
    {
        MultiHeadAttentionWeights weights = CheckpointFolder.Weights();
        float[] rows = [.. Data.Flat(weights.Query), .. Data.Flat(weights.Query), .. Data.Flat(weights.Query)];
        SafetensorsFile.Write(_folder.File, new Dictionary<string, Tensor<float>>
        {
            ["attn.in_proj_weight"] = Tensor.Create(rows, [rows.Length / 10, 10]),
            ["attn.out_proj.weight"] = weights.Output,
        });
    }

    private MultiHeadAttentionConfig Load(int? heads, string prefix, MultiHeadAttentionLoadOptions? options = null) =>
        MultiHeadAttentionWeights.Load(_folder.File, heads, prefix: prefix, options: options).Config;
}
