namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>
/// <c>facebook/sam-vit-base</c>, the mask decoder. Source: transformers, <c>models/sam/modeling_sam.py</c>,
/// <c>SamTwoWayTransformerAttention</c>, <c>SamTwoWayAttentionBlock</c> and <c>SamTwoWayTransformer</c> (commit
/// 01e6b57521ba3b594739a3c36a3ff6da7f8ba5e4): projections of the cross-attentions are narrower by <c>attention_downsample_rate</c>, those
/// of
/// self-attention are not.
/// </summary>
internal static class SamFamilies
{
    private const int Size = 32;

    public static FamilyDefinition MaskDecoder() => new("sam", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "_commit_hash": null, "architectures": ["SamModel"], "initializer_range": 0.02, "mask_decoder_config": {
            "_name_or_path": "", "add_cross_attention": false, "architectures": null, "attention_downsample_rate": 2,
            "chunk_size_feed_forward": 0, "hidden_act": "relu", "hidden_size": 32, "iou_head_depth": 3, "iou_head_hidden_dim": 32,
            "is_decoder": false, "layer_norm_eps": 1e-06, "mlp_dim": 64, "model_type": "", "num_attention_heads": 4,
            "num_hidden_layers": 2, "num_multimask_outputs": 3, "output_attentions": false, "torch_dtype": null },
            "model_type": "sam", "prompt_encoder_config": { "hidden_act": "gelu", "hidden_size": 32, "image_embedding_size": 64,
            "image_size": 1024, "layer_norm_eps": 1e-06, "mask_input_channels": 16, "model_type": "", "num_point_embeddings": 4,
            "patch_size": 16 }, "torch_dtype": "float32", "transformers_version": null, "vision_config": { "attention_dropout": 0.0,
            "dropout": 0.0, "global_attn_indexes": [0], "hidden_act": "gelu", "hidden_size": 24, "image_size": 1024,
            "initializer_factor": 1.0, "initializer_range": 1e-10, "intermediate_size": 6144, "layer_norm_eps": 1e-06, "mlp_dim": 48,
            "mlp_ratio": 4.0, "model_type": "", "num_attention_heads": 3, "num_channels": 3, "num_hidden_layers": 1, "num_pos_feats": 16,
            "output_channels": 32, "patch_size": 16, "projection_dim": 512, "qkv_bias": true, "use_abs_pos": true, "use_rel_pos": true,
            "window_size": 14 } }
            """, random);
        void Add(string name, int inner)
        {
            foreach (string projection in (string[])["q_proj", "k_proj", "v_proj"])
                checkpoint.AddLinear($"mask_decoder.transformer.{name}.{projection}", inner, Size, bias: true);
            checkpoint.AddLinear($"mask_decoder.transformer.{name}.out_proj", Size, inner, bias: true);
        }

        for (int n = 0; n < 2; n++)
        {
            Add($"layers.{n}.self_attn", Size);
            Add($"layers.{n}.cross_attn_token_to_image", Size / 2);
            Add($"layers.{n}.cross_attn_image_to_token", Size / 2);
            checkpoint.AddNorm($"mask_decoder.transformer.layers.{n}.layer_norm1.weight", Size);
        }

        Add("final_attn_token_to_image", Size / 2);
        checkpoint.AddLinear("vision_encoder.layers.0.attn.qkv", 72, 24, bias: true)
            .AddLinear("vision_encoder.layers.0.attn.proj", 24, 24, bias: true)
            .AddMatrix("vision_encoder.layers.0.attn.rel_pos_h", 27, 8).AddMatrix("vision_encoder.layers.0.attn.rel_pos_w", 27, 8);
        return checkpoint;
    },
    [
        new("mask_decoder.transformer.layers.1.self_attn", 1, null),
        new("mask_decoder.transformer.layers.0.cross_attn_token_to_image", 0, null, IsCross: true),
        new("mask_decoder.transformer.layers.1.cross_attn_image_to_token", 1, null, IsCross: true),
        new("mask_decoder.transformer.final_attn_token_to_image", 0, null, IsCross: true),
    ], (checkpoint, layer, rows) => EncoderFamilies.Plain(
        checkpoint, rows, checkpoint.Int("mask_decoder_config.num_attention_heads"), "q_proj", "k_proj", "v_proj", "out_proj",
        layer.Prefix))
    { Size = Size, HasOwnKeys = true };
}
