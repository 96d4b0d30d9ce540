using System.Text.Json.Nodes;

namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>Decoders with windows in some layers: Gemma and gpt-oss.</summary>
internal static class GemmaFamilies
{
    private const int HeadSize = 8;

    /// <summary>
    /// <c>google/gemma-2b</c>: heads of a size of their own. Source: transformers, <c>models/gemma/modeling_gemma.py</c>,
    /// <c>GemmaAttention</c>.
    /// </summary>
    public static FamilyDefinition Gemma() => LlamaFamilies.Type("gemma", """
        "architectures": ["GemmaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 2, "eos_token_id": 1,
        "head_dim": 8, "hidden_act": "gelu", "hidden_activation": null, "max_position_embeddings": 8192, "model_type": "gemma",
        "num_key_value_heads": 1, "pad_token_id": 0, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 10000.0,
        "torch_dtype": "bfloat16", "vocab_size": 256000
        """, HeadSize, (checkpoint, _, length) => LlamaFamilies.Plain(checkpoint, length), keys: HeadSize);

    /// <summary>
    /// <c>google/gemma-2-2b</c>: a scale of its own, soft capping, a window in layers of even number. Source: transformers,
    /// <c>models/gemma2/modeling_gemma2.py</c>, <c>Gemma2Attention</c> and <c>eager_attention_forward</c>.
    /// </summary>
    public static FamilyDefinition Gemma2() => Gemma2Type("gemma2", """ "attn_logit_softcapping": 2.5 """, 2.5);

    /// <summary>
    /// Gemma 2 without <c>attn_logit_softcapping</c>, which is 50 then. Source: transformers,
    /// <c>models/gemma2/configuration_gemma2.py</c>, <c>Gemma2Config</c>.
    /// </summary>
    public static FamilyDefinition Gemma2ByDefault() => Gemma2Type("gemma2 (softcap by default)", """ "use_cache": true """, 50.0);

    /// <summary>
    /// <c>google/gemma-3-1b-it</c>: norms whose weights are stored less 1; of six layers five have a window and a base of their own.
    /// Source:
    /// transformers, <c>models/gemma3/modeling_gemma3.py</c>, <c>Gemma3Attention</c> and <c>Gemma3RMSNorm</c> (commit
    /// 0018aa647bb13801f061e2d1027c326f531b59fb), and <c>configuration_gemma3.py</c>, <c>Gemma3TextConfig.layer_types</c>.
    /// </summary>
    public static FamilyDefinition Gemma3() => LlamaFamilies.Type("gemma3_text", $$"""
        {{Gemma3Members}}, "rope_local_base_freq": 10000, "rope_scaling": { "factor": 8.0, "rope_type": "linear" }, "rope_theta": 1000000,
        "sliding_window_pattern": 3
        """, HeadSize, (_, layer, length) => Gemma3Layer(layer % 3 == 2, length, 4, 2, HeadSize, 5.0, 5),
        layers: 3, tested: [1, 2], add: AddGemma3Norms);

    /// <summary>Gemma 3 as transformers 5 writes it: bases by kind of layer, and the kinds. Source: as <see cref="Gemma3"/>.</summary>
    public static FamilyDefinition Gemma3OfTransformers5() => LlamaFamilies.Type("gemma3_text (transformers 5)", $$"""
        {{Gemma3Members}}, "_sliding_window_pattern": 3, "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "dtype": "bfloat16", "use_bidirectional_attention": false, "rope_parameters": {
        "full_attention": { "factor": 8.0, "rope_theta": 1000000, "rope_type": "linear" },
        "sliding_attention": { "rope_theta": 10000, "rope_type": "default" } }
        """, HeadSize, (_, layer, length) => Gemma3Layer(layer % 3 == 2, length, 4, 2, HeadSize, 5.0, 5),
        layers: 3, tested: [1, 2], add: AddGemma3Norms);

    /// <summary>
    /// <c>google/gemma-3-4b-it</c>, a model of text and pictures: its file leaves out all that equals the defaults of
    /// <c>Gemma3TextConfig</c> (8 heads of 256, 4 of keys, bases 1000000 and 10000, a scalar of 256, every sixth layer without a window).
    /// Source: as <see cref="Gemma3"/>; names from <c>Gemma3ForConditionalGeneration</c>; the tower of pictures from
    /// <c>models/siglip/modeling_siglip.py</c>, <c>SiglipAttention</c>.
    /// </summary>
    public static FamilyDefinition Gemma3OfPictures() => Gemma3OfPictures("gemma3", "language_model.model.", "vision_tower.");

    /// <summary>The same as transformers writes it from version 4.52 on, under other names. Source: as <see cref="Gemma3"/>.</summary>
    public static FamilyDefinition Gemma3OfPicturesSince452() =>
        Gemma3OfPictures("gemma3 (since 4.52)", "model.language_model.", "model.vision_tower.");

    /// <summary>
    /// <c>openai/gpt-oss-20b</c>: biases, a sink of each head, YaRN without rounded bounds, a window in layers of even number. Source:
    /// transformers, <c>models/gpt_oss/modeling_gpt_oss.py</c>, <c>GptOssAttention</c> and <c>eager_attention_forward</c> (commit
    /// 00d4b3d2142cb4ced2f51b90614b5d26bc045015). Its expert matrices are quantised, attention is not.
    /// </summary>
    public static FamilyDefinition GptOss() => LlamaFamilies.Type("gpt_oss", """
        "architectures": ["GptOssForCausalLM"], "attention_bias": true, "attention_dropout": 0.0, "eos_token_id": 200002,
        "experts_per_token": 4, "head_dim": 16, "initial_context_length": 4096,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "max_position_embeddings": 131072,
        "model_type": "gpt_oss", "num_experts_per_tok": 4, "num_hidden_layers": 3, "num_key_value_heads": 2, "num_local_experts": 32,
        "output_router_logits": false, "pad_token_id": 199999, "quantization_config": { "modules_to_not_convert":
        ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"], "quant_method": "mxfp4" },
        "rms_norm_eps": 1e-05, "rope_scaling": { "beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0,
        "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": false }, "rope_theta": 150000,
        "router_aux_loss_coef": 0.9, "sliding_window": 5, "swiglu_limit": 7.0, "tie_word_embeddings": false, "vocab_size": 201088
        """, 16, (checkpoint, layer, length) =>
            LlamaFamilies.Plain(checkpoint, length, 16) with { HasSinks = true, Window = layer % 2 == 0 ? 5 : null },
        queries: 64, keys: 32, bias: true, outputBias: true, layers: 3, tested: [1, 2],
        add: (checkpoint, prefix) => checkpoint.AddVector(prefix + "sinks", 4));

    private const string Gemma3Members = """
        "architectures": ["Gemma3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "attn_logit_softcapping": null,
        "bos_token_id": 2, "cache_implementation": "hybrid", "eos_token_id": [1, 106], "final_logit_softcapping": null, "head_dim": 8,
        "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 32768, "model_type": "gemma3_text", "num_hidden_layers": 3,
        "num_key_value_heads": 2, "pad_token_id": 0, "query_pre_attn_scalar": 5, "rms_norm_eps": 1e-06, "sliding_window": 5,
        "vocab_size": 262144
        """;

    private static FamilyDefinition Gemma3OfPictures(string name, string text, string vision) => new(name, random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "architectures": ["Gemma3ForConditionalGeneration"], "boi_token_index": 255999, "eoi_token_index": 256000,
            "eos_token_id": [1, 106], "image_token_index": 262144, "initializer_range": 0.02, "mm_tokens_per_image": 256,
            "model_type": "gemma3", "text_config": { "hidden_size": 24, "intermediate_size": 48, "model_type": "gemma3_text",
            "num_hidden_layers": 6, "rope_scaling": { "factor": 8.0, "rope_type": "linear" }, "sliding_window": 5 },
            "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0", "vision_config": { "hidden_size": 24, "image_size": 896,
            "intermediate_size": 48, "model_type": "siglip_vision_model", "num_attention_heads": 3, "num_hidden_layers": 1,
            "patch_size": 14, "vision_use_head": false } }
            """, random);
        RotaryDecoder.AddLayers(
            checkpoint, 6, 24, 8 * 256, 4 * 256, model: text,
            add: prefix => AddGemma3Norms(checkpoint, prefix, 256));
        EncoderFamilies.AddSeparate(
            checkpoint, vision + "vision_model.encoder.layers.0.self_attn.", 24, "q_proj", "k_proj", "v_proj", "out_proj");
        return checkpoint;
    },
    [
        new(text + "layers.4.self_attn", 4, null, IsCausal: true),
        new(text + "layers.5.self_attn", 5, null, IsCausal: true),
        new(vision + "vision_model.encoder.layers.0.self_attn", 0, ModelStack.Vision),
    ], (checkpoint, layer, rows) => layer.IsCausal
        ? Gemma3Layer(layer.Index == 5, rows.Query.Length, 8, 4, 256, 256.0, 5).Attend(checkpoint, layer.Prefix, rows.Query)
        : EncoderFamilies.Plain(checkpoint, rows, 3, "q_proj", "k_proj", "v_proj", "out_proj", layer.Prefix))
    { Size = 24 };

    private static FamilyDefinition Gemma2Type(string name, string members, double softcap) => LlamaFamilies.Type(name, $$"""
        {{members}}, "architectures": ["Gemma2ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 2,
        "cache_implementation": "hybrid", "eos_token_id": 1, "final_logit_softcapping": 30.0, "head_dim": 8,
        "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 8192,
        "model_type": "gemma2", "num_hidden_layers": 3, "num_key_value_heads": 2, "pad_token_id": 0, "query_pre_attn_scalar": 5,
        "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "sliding_window": 5, "torch_dtype": "float32", "vocab_size": 256000
        """, HeadSize, (checkpoint, layer, length) => LlamaFamilies.Plain(checkpoint, length) with
    {
        Scale = 1.0 / Math.Sqrt(checkpoint.Number("query_pre_attn_scalar")),
        Softcap = softcap,
        Window = layer % 2 == 0 ? checkpoint.Int("sliding_window") : null,
    }, layers: 3, tested: [1, 2]);

    private static RotaryDecoder Gemma3Layer(bool isFull, int length, int heads, int shared, int headSize, double scalar, int window)
    {
        Rotation rotation = isFull
            ? Rotation.Scaled(JsonNode.Parse("""{ "factor": 8.0, "rope_type": "linear" }"""), 1e6, headSize, length, 32768)
            : Rotation.Default(1e4, headSize);
        return new(heads, shared, headSize, rotation)
        {
            Scale = 1.0 / Math.Sqrt(scalar),
            Window = isFull ? null : window,
            Norms = (1.0, 1e-6),
        };
    }

    private static void AddGemma3Norms(HubCheckpoint checkpoint, string prefix) => AddGemma3Norms(checkpoint, prefix, HeadSize);

    private static void AddGemma3Norms(HubCheckpoint checkpoint, string prefix, int headSize) =>
        checkpoint.AddNorm(prefix + "q_norm.weight", headSize, middle: 0.0).AddNorm(prefix + "k_norm.weight", headSize, middle: 0.0);
}
