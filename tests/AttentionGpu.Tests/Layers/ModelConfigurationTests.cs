using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>A <c>config.json</c> beside a checkpoint: each family's members, as the files of published models have them.</summary>
public sealed class ModelConfigurationTests : IDisposable
{
    private readonly CheckpointFolder _folder = new();

    /// <summary>A configuration, the layer's number, and what the layer becomes.</summary>
    public static TheoryData<string, int, MultiHeadAttentionConfig> Models
    {
        get
        {
            MultiHeadAttentionConfig sizes = CheckpointFolder.Sizes;
            const string heads = "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"hidden_size\":24,\"attention_dropout\":0.0";
            return new()
            {
                // Llama 1 and 2 leave the base out; 3.1 scales.
                { $$$"""{"model_type":"llama",{{{heads}}},"rope_scaling":null}""", 0, sizes with { Rotary = new() } },
                {
                    $$$"""
                    {"model_type":"llama",{{{heads}}},"attention_bias":false,"head_dim":6,"rope_theta":500000.0,
                     "max_position_embeddings":131072,"rope_scaling":{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
                     "original_max_position_embeddings":8192,"rope_type":"llama3"}}
                    """,
                    0, sizes with { Rotary = new() { Base = 500_000.0, Scaling = RotaryScaling.Llama3(8.0, 1.0, 4.0, 8192) } }
                },
                {
                    $$$"""{"model_type":"llama",{{{heads}}},"rope_scaling":{"type":"linear","factor":4}}""",
                    0, sizes with { Rotary = new() { Scaling = RotaryScaling.Linear(4.0) } }
                },
                {
                    // Newer files join the members.
                    $$$"""{"model_type":"llama",{{{heads}}},"rope_parameters":{"rope_theta":5000.0,"rope_type":"default"}}""",
                    0, sizes with { Rotary = new() { Base = 5000.0 } }
                },
                {
                    $$$"""{"model_type":"mistral",{{{heads}}},"rope_theta":10000.0,"sliding_window":4096}""",
                    7, sizes with { Rotary = new(), Window = new AttentionWindow { Left = 4095 } }
                },
                {
                    $$$"""{"model_type":"mistral",{{{heads}}},"rope_theta":1000000.0,"sliding_window":null}""",
                    7, sizes with { Rotary = new() { Base = 1e6 } }
                },
                {
                    Qwen2(heads, "\"sliding_window\":131072,\"use_sliding_window\":false"),
                    40, sizes with { Rotary = new() { Base = 1e6 } }
                },
                {
                    Qwen2(heads, "\"sliding_window\":100,\"use_sliding_window\":true"),
                    27, sizes with { Rotary = new() { Base = 1e6 } }
                },
                {
                    Qwen2(heads, "\"sliding_window\":100,\"use_sliding_window\":true"),
                    28, sizes with { Rotary = new() { Base = 1e6 }, Window = new AttentionWindow { Left = 99 } }
                },
                {
                    Gemma2(heads), 0,
                    sizes with { Rotary = new(), Softcap = 50f, Scale = 1f / 12f, Window = new AttentionWindow { Left = 4095 } }
                },
                { Gemma2(heads), 1, sizes with { Rotary = new(), Softcap = 50f, Scale = 1f / 12f } },
                {
                    $$$"""{"model_type":"gptj","n_head":4,"rotary":true,"rotary_dim":4,"scale_attn_weights":true,"attn_pdrop":0.0}""",
                    0, sizes with { Rotary = new() { Size = 4, Interleaved = true } }
                },
                {
                    $$$"""
                    {"model_type":"stablelm",{{{heads}}},"rope_theta":10000,"partial_rotary_factor":0.34,"qk_layernorm":false,
                     "use_qkv_bias":true}
                    """,
                    0, sizes with { Rotary = new() { Size = 2 } }
                },
                {
                    $$$"""{"model_type":"granite",{{{heads}}},"rope_theta":10000,"attention_multiplier":0.25}""",
                    0, sizes with { Rotary = new(), Scale = 0.25f }
                },
                {
                    """{"model_type":"whisper","encoder_attention_heads":4,"decoder_attention_heads":4,"attention_dropout":0.0}""",
                    0, sizes
                },
                { """{"model_type":"opt","num_attention_heads":4,"attention_dropout":0.1}""", 0, sizes },
            };
        }
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Models))]
    public void A_layer_is_what_the_configuration_says(string json, int layer, MultiHeadAttentionConfig expected)
    {
        _folder.Write($"model.layers.{layer}.self_attn", CheckpointFolder.Weights());
        _folder.WriteConfiguration(json);
        using MultiHeadAttention<float> loaded = Load(layer);
        Assert.Equal(expected, loaded.Config);
    }

    [Fact]
    public void Qwen3_has_norms_and_gpt_oss_sinks_and_windows()
    {
        const string heads = "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":6";
        _folder.Write("model.layers.2.self_attn", CheckpointFolder.Weights(norms: true));
        _folder.WriteConfiguration(
            $$$"""
            {"model_type":"qwen3",{{{heads}}},"rope_theta":1000000,"rms_norm_eps":1e-05,"sliding_window":null,"use_sliding_window":false}
            """);
        using (MultiHeadAttention<float> layer = Load(2))
        {
            Assert.Equal(CheckpointFolder.Sizes with { Rotary = new() { Base = 1e6 }, NormEpsilon = 1e-5f }, layer.Config);
            Assert.NotNull(layer.Parameters.QueryNorm);
            Assert.NotNull(layer.Parameters.KeyNorm);
        }

        string oss =
            $$$"""
            {"model_type":"gpt_oss",{{{heads}}},"rope_theta":150000,"sliding_window":128,
             "layer_types":["sliding_attention","full_attention","LAST"],"attention_bias":true,
             "rope_scaling":{"beta_fast":32.0,"beta_slow":1.0,"factor":32.0,"original_max_position_embeddings":4096,
             "rope_type":"yarn","truncate":false}}
            """;
        MultiHeadAttentionConfig full = CheckpointFolder.Sizes with
        {
            Rotary = new() { Base = 150_000, Scaling = RotaryScaling.Yarn(32.0, 4096, truncate: false) },
        };
        _folder.Write("model.layers.2.self_attn", CheckpointFolder.Weights(sinks: true));
        var seen = new AttentionWindow { Left = 127 };
        foreach ((string last, AttentionWindow? window) in new[] { ("full_attention", null), ("sliding_attention", seen) })
        {
            _folder.WriteConfiguration(oss.Replace("LAST", last, StringComparison.Ordinal));
            using MultiHeadAttention<float> layer = Load(2);
            Assert.Equal(full with { Window = window }, layer.Config);
            Assert.NotNull(layer.Parameters.Sinks);
        }
    }

    [Theory]
    [InlineData("1e-05")]
    [InlineData("1e-06")]
    public void A_layer_without_norms_is_none_of_a_model_that_has_them(string epsilon)
    {
        _folder.Write("model.layers.2.self_attn", CheckpointFolder.Weights());
        _folder.WriteConfiguration(
            $$"""{"model_type":"qwen3","rope_theta":1000000,"rms_norm_eps":{{epsilon}},"use_sliding_window":false}""");
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => Load(2));
        Assert.Contains("config.json' is of a model whose layers have 'q_norm.weight'", exception.Message, StringComparison.Ordinal);
        Assert.Contains($"the layer in '{_folder.File}' has neither", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[1]", "is no JSON object")]
    [InlineData("{", "is no valid JSON")]
    [InlineData("{}", "has no 'model_type'")]
    [InlineData("""{"model_type":"gemma9"}""", "has the 'model_type' 'gemma9', which is not one of those whose layers are known: bart, ")]
    [InlineData("""{"model_type":"mistral","sliding_window":null}""", "has no 'rope_theta'")]
    [InlineData("""{"model_type":"mistral","rope_theta":1e4}""", "has no 'sliding_window'")]
    [InlineData(
        """{"model_type":"gemma2","rope_theta":1e4,"sliding_window":9,"attn_logit_softcapping":5}""", "has no 'query_pre_attn_scalar'")]
    [InlineData("""{"model_type":"granite","rope_theta":1e4,"attention_multiplier":0}""", "'attention_multiplier' = 0; it must be a number")]
    [InlineData("""{"model_type":"opt","num_attention_heads":12}""", "has 'num_attention_heads' = 12, but the layer has 4")]
    [InlineData("""{"model_type":"deepseek_v3"}""", "'deepseek_v3', whose layers are not computed: keys and values")]
    [InlineData("""{"model_type":"bloom","n_head":4}""", "is of a model whose layers have no 'q_proj.weight'")]
    [InlineData("""{"model_type":"llama","position_embedding_type":"relative_key"}""", "has 'position_embedding_type' = \"relative_key\"")]
    [InlineData("""{"model_type":"gpt_oss","rope_theta":1e4,"sliding_window":null}""", "is of a model whose layers have 'sinks'")]
    [InlineData("""{"model_type":"llama","num_attention_heads":8}""", "has 'num_attention_heads' = 8, but the layer has 4")]
    [InlineData("""{"model_type":"llama","num_key_value_heads":4}""", "has 'num_key_value_heads' = 4, but the layer has 2")]
    [InlineData("""{"model_type":"llama","head_dim":8}""", "has 'head_dim' = 8, but the layer has 6")]
    [InlineData("""{"model_type":"llama","sliding_window":9}""", "has 'sliding_window' = 9, which this layer does not do")]
    [InlineData("""{"model_type":"llama","attn_logit_softcapping":30.0}""", "has 'attn_logit_softcapping' = 30.0")]
    [InlineData("""{"model_type":"llama","layer_types":["sliding_attention"]}""", "has windows in 'layer_types'")]
    [InlineData("""{"model_type":"llama","layer_types":["linear_attention"]}""", "has layers of the type 'linear_attention'")]
    [InlineData(
        """{"model_type":"llama","layer_types":["full_attention","sliding_attention"]}""",
        "has 'layer_types' for 2 layers; this is layer 5")]
    [InlineData("""{"model_type":"olmo","rope_theta":1e4,"clip_qkv":8.0}""", "has 'clip_qkv' = 8.0")]
    [InlineData("""{"model_type":"llama","no_rope_layers":[1,1,0]}""", "has 'no_rope_layers' = [1,1,0]")]
    [InlineData("""{"model_type":"gptj","rotary":false,"rotary_dim":4}""", "has 'rotary' = false")]
    [InlineData("""{"model_type":"gptj","rotary_dim":null}""", "has no 'rotary_dim'")]
    [InlineData("""{"model_type":"llama","rope_theta":"high"}""", "has 'rope_theta' = \"high\"; it must be a number")]
    [InlineData("""{"model_type":"llama","rope_scaling":{"type":"dynamic","factor":2}}""", "has no 'max_position_embeddings'")]
    [InlineData("""{"model_type":"llama","rope_scaling":{"type":"ntk","factor":2}}""", "has 'rope_scaling.rope_type' = 'ntk'")]
    [InlineData("""{"model_type":"llama","rope_scaling":{"factor":2}}""", "has no 'rope_scaling.rope_type'")]
    [InlineData("""{"model_type":"llama","rope_scaling":{"type":"linear"}}""", "has no 'rope_scaling.factor'")]
    [InlineData("""{"model_type":"llama","rope_scaling":[2]}""", "has a 'rope_scaling' that is no object")]
    [InlineData(
        """{"model_type":"llama","rope_scaling":{"type":"yarn","factor":2,"original_max_position_embeddings":64,"mscale":1}}""",
        "has 'rope_scaling.mscale'")]
    [InlineData(
        """{"model_type":"llama","rope_scaling":{"type":"yarn","factor":2,"original_max_position_embeddings":64.5}}""",
        "has 'rope_scaling.original_max_position_embeddings' = 64.5")]
    [InlineData(
        """{"model_type":"llama","rope_theta":1e4,"rope_parameters":{"rope_type":"default","rope_theta":2e4}}""",
        "'rope_parameters.rope_theta' = 20000")]
    public void What_is_missing_or_not_done_is_named(string json, string message)
    {
        _folder.Write("model.layers.5.self_attn", CheckpointFolder.Weights());
        _folder.WriteConfiguration(json);
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => Load(5));
        Assert.Contains("config.json' ", exception.Message, StringComparison.Ordinal);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_window_that_depends_on_the_layer_needs_its_number()
    {
        _folder.Write("attn", CheckpointFolder.Weights());
        _folder.WriteConfiguration(Gemma2("\"num_attention_heads\":4"));
        InvalidDataException exception = Assert.Throws<InvalidDataException>(
            () => MultiHeadAttention.Load<float>(Engines.Reference, _folder.File, CheckpointFolder.Heads, prefix: "attn"));
        Assert.Contains("the prefix 'attn.' has no number", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_caller_states_takes_the_place_of_the_configuration_as_a_whole()
    {
        _folder.Write("model.layers.0.self_attn", CheckpointFolder.Weights());
        _folder.WriteConfiguration("""{"model_type":"mistral","rope_theta":10000.0,"sliding_window":4096}""");
        using (MultiHeadAttention<float> layer = Load(0, new() { Positions = LayerPositions.None }))
            Assert.Equal(CheckpointFolder.Sizes, layer.Config);
        foreach (MultiHeadAttentionLoadOptions half in new MultiHeadAttentionLoadOptions[]
        {
            new() { Softcap = 50f }, new() { Scale = 1f }, new() { Window = new AttentionWindow { Left = 1 } },
        })
        {
            ArgumentException exception = Assert.Throws<ArgumentException>(() => Load(0, half));
            Assert.Equal("options", exception.ParamName);
            Assert.Contains("must be left out where config.json configures the layer", exception.Message, StringComparison.Ordinal);
        }
    }

    private static string Qwen2(string heads, string window) =>
        $$$"""{"model_type":"qwen2",{{{heads}}},"rope_theta":1000000.0,{{{window}}},"max_window_layers":28}""";

    private static string Gemma2(string heads) =>
        $$$"""
        {"model_type":"gemma2",{{{heads}}},"rope_theta":10000.0,"attn_logit_softcapping":50.0,"final_logit_softcapping":30.0,
         "query_pre_attn_scalar":144,"sliding_window":4096,"cache_implementation":"hybrid"}
        """;

    private MultiHeadAttention<float> Load(int layer, MultiHeadAttentionLoadOptions? options = null) => MultiHeadAttention.Load<float>(
        Engines.Reference, _folder.File, CheckpointFolder.Heads, prefix: $"model.layers.{layer}.self_attn", options: options);
}
