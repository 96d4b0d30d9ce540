namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>Models of text and pictures whose files leave out all that equals a class's defaults.</summary>
internal static class PartFamilies
{
    /// <summary>
    /// <c>google/siglip-base-patch16-224</c>: 12 heads where a part does not say so; its text is not causal. Source: transformers,
    /// <c>models/siglip/modeling_siglip.py</c>, <c>SiglipAttention</c>, and <c>configuration_siglip.py</c>.
    /// </summary>
    public static FamilyDefinition Siglip() => new("siglip", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "architectures": ["SiglipModel"], "initializer_factor": 1.0, "model_type": "siglip", "text_config": { "hidden_size": 24,
            "model_type": "siglip_text_model", "num_hidden_layers": 1, "vocab_size": 32000 }, "torch_dtype": "float32",
            "transformers_version": "4.37.0.dev0", "vision_config": { "hidden_size": 24, "image_size": 224, "intermediate_size": 48,
            "model_type": "siglip_vision_model", "num_attention_heads": 4, "num_hidden_layers": 1, "patch_size": 16 } }
            """, random);
        foreach (string part in (string[])["text_model", "vision_model"])
            EncoderFamilies.AddSeparate(checkpoint, part + ".encoder.layers.0.self_attn.", 24, "k_proj", "v_proj", "q_proj", "out_proj");
        return checkpoint.AddMatrix("vision_model.head.attention.in_proj_weight", 72, 24)
            .AddVector("vision_model.head.attention.in_proj_bias", 72)
            .AddLinear("vision_model.head.attention.out_proj", 24, 24, bias: true);
    },
    [
        new("text_model.encoder.layers.0.self_attn", 0, ModelStack.Text),
        new("vision_model.encoder.layers.0.self_attn", 0, ModelStack.Vision),
    ], (checkpoint, layer, rows) => EncoderFamilies.Plain(
        checkpoint, rows, layer.Stack == ModelStack.Text ? 12 : 4, "q_proj", "k_proj", "v_proj", "out_proj", layer.Prefix))
    { Size = 24 };

    /// <summary>
    /// <c>llava-hf/llava-1.5-7b-hf</c>: a Llama of 32 heads, which its file does not say, behind the vision part of a CLIP. Source:
    /// transformers, <c>models/llava/modeling_llava.py</c>, <c>models/llama/configuration_llama.py</c> and
    /// <c>models/clip/modeling_clip.py</c>.
    /// </summary>
    public static FamilyDefinition Llava() => new("llava", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "architectures": ["LlavaForConditionalGeneration"], "ignore_index": -100, "image_token_index": 32000, "model_type": "llava",
            "pad_token_id": 32001, "projector_hidden_act": "gelu", "text_config": { "_name_or_path": "lmsys/vicuna-7b-v1.5",
            "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "max_position_embeddings": 4096, "model_type": "llama",
            "num_hidden_layers": 2, "rms_norm_eps": 1e-05, "torch_dtype": "float16", "vocab_size": 32064 },
            "tie_word_embeddings": false, "torch_dtype": "float16", "transformers_version": "4.36.0.dev0", "vision_config": {
            "hidden_size": 64, "image_size": 336, "intermediate_size": 48, "model_type": "clip_vision_model", "num_attention_heads": 4,
            "num_hidden_layers": 1, "patch_size": 14, "projection_dim": 768, "vocab_size": 32000 }, "vision_feature_layer": -2,
            "vision_feature_select_strategy": "default", "vocab_size": 32064 }
            """, random);
        RotaryDecoder.AddLayers(checkpoint, 2, 64, 64, 64, model: "language_model.model.");
        EncoderFamilies.AddSeparate(
            checkpoint, "vision_tower.vision_model.encoder.layers.0.self_attn.", 64, "k_proj", "v_proj", "q_proj", "out_proj");
        return checkpoint;
    },
    [
        new("language_model.model.layers.1.self_attn", 1, null, IsCausal: true),
        new("vision_tower.vision_model.encoder.layers.0.self_attn", 0, ModelStack.Vision),
    ], (checkpoint, layer, rows) => layer.IsCausal
        ? new RotaryDecoder(32, 32, 2, Rotation.Default(10000.0, 2)).Attend(checkpoint, layer.Prefix, rows.Query)
        : EncoderFamilies.Plain(checkpoint, rows, 4, "q_proj", "k_proj", "v_proj", "out_proj", layer.Prefix))
    { Size = 64 };
}
