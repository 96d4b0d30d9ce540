namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>Qwen, with biases of queries, keys and values or with norms of their heads, and Phi-3, whose projections are joined.</summary>
internal static class QwenFamilies
{
    private const int HeadSize = 8;

    /// <summary><c>Qwen/Qwen2.5-0.5B</c>. Source: transformers, <c>models/qwen2/modeling_qwen2.py</c>, <c>Qwen2Attention</c>.</summary>
    public static FamilyDefinition Qwen2() => LlamaFamilies.Type("qwen2", """
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151643,
        "max_position_embeddings": 32768, "max_window_layers": 1, "model_type": "qwen2", "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0, "sliding_window": 5, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_mrope": false,
        "use_sliding_window": false, "vocab_size": 151936
        """, 6, (checkpoint, _, length) => LlamaFamilies.Plain(checkpoint, length, 6), queries: 24, keys: 12, bias: true);

    /// <summary>
    /// Qwen2 with windows: layers from <c>max_window_layers</c> on have one. Source: transformers,
    /// <c>models/qwen2/configuration_qwen2.py</c>, <c>layer_types</c>.
    /// </summary>
    public static FamilyDefinition WindowedQwen2() => LlamaFamilies.Type("qwen2 (windows)", """
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
        "max_position_embeddings": 131072, "max_window_layers": 2, "model_type": "qwen2", "num_hidden_layers": 3, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 5, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "use_sliding_window": true, "vocab_size": 152064
        """, 6, (checkpoint, layer, length) => LlamaFamilies.Plain(checkpoint, length, 6) with { Window = layer >= 2 ? 5 : null },
        queries: 24, keys: 12, bias: true, layers: 3, tested: [1, 2]);

    /// <summary>
    /// <c>Qwen/Qwen1.5-MoE-A2.7B</c>. Source: transformers, <c>models/qwen2_moe/modeling_qwen2_moe.py</c>, <c>Qwen2MoeAttention</c>.
    /// </summary>
    public static FamilyDefinition Qwen2Moe() => LlamaFamilies.Type("qwen2_moe", """
        "architectures": ["Qwen2MoeForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "decoder_sparse_step": 1,
        "eos_token_id": 151643, "max_position_embeddings": 8192, "max_window_layers": 1, "model_type": "qwen2_moe",
        "moe_intermediate_size": 8, "norm_topk_prob": false, "num_experts": 60, "num_experts_per_tok": 4, "num_key_value_heads": 4,
        "output_router_logits": false, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "router_aux_loss_coef": 0.001,
        "shared_expert_intermediate_size": 16, "sliding_window": 5, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "use_sliding_window": false, "vocab_size": 151936
        """, 6, (checkpoint, _, length) => LlamaFamilies.Plain(checkpoint, length, 6), queries: 24, keys: 24, bias: true);

    /// <summary>
    /// Qwen2-MoE with windows: every second layer from the first on, up to <c>max_window_layers</c>. Source: transformers,
    /// <c>models/qwen2_moe/configuration_qwen2_moe.py</c>, <c>layer_types</c> (commit 008e574391258935f3ecc3035c882e73bbcac419). No
    /// published
    /// file has windows.
    /// </summary>
    public static FamilyDefinition WindowedQwen2Moe() => LlamaFamilies.Type("qwen2_moe (windows)", """
        "architectures": ["Qwen2MoeForCausalLM"], "max_position_embeddings": 8192, "max_window_layers": 2, "model_type": "qwen2_moe",
        "num_hidden_layers": 3, "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 5,
        "tie_word_embeddings": false, "use_sliding_window": true, "vocab_size": 151936
        """, 6, (checkpoint, layer, length) =>
            LlamaFamilies.Plain(checkpoint, length, 6) with { Window = layer % 2 == 0 && layer < 2 ? 5 : null },
        queries: 24, keys: 24, bias: true, layers: 3, tested: [0, 1, 2]);

    /// <summary><c>Qwen/Qwen3-0.6B</c>. Source: transformers, <c>models/qwen3/modeling_qwen3.py</c>, <c>Qwen3Attention</c>.</summary>
    public static FamilyDefinition Qwen3() => LlamaFamilies.Type("qwen3", """
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151645, "head_dim": 8, "max_position_embeddings": 40960, "max_window_layers": 2, "model_type": "qwen3",
        "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null,
        "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_sliding_window": false, "vocab_size": 151936
        """, HeadSize, (checkpoint, _, length) => LlamaFamilies.Plain(checkpoint, length) with { Norms = (0.0, 1e-6) }, add: AddNorms);

    /// <summary>
    /// Qwen3 with the YaRN scaling that its model card recommends, and an original context short enough that both bounds lie inside the
    /// head. Source: as <see cref="Qwen3"/> and <see cref="Rotation"/>.
    /// </summary>
    public static FamilyDefinition YarnQwen3() => LlamaFamilies.Type("qwen3 (yarn)", """
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151645, "head_dim": 16, "max_position_embeddings": 131072, "max_window_layers": 2, "model_type": "qwen3",
        "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_scaling": { "factor": 4.0, "original_max_position_embeddings": 2000,
        "rope_type": "yarn" }, "rope_theta": 10000, "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "use_sliding_window": false, "vocab_size": 151936
        """, 16, (checkpoint, _, length) => LlamaFamilies.Plain(checkpoint, length, 16) with { Norms = (0.0, 1e-6) }, queries: 64, keys: 32,
        add: (checkpoint, prefix) => checkpoint.AddNorm(prefix + "q_norm.weight", 16).AddNorm(prefix + "k_norm.weight", 16));

    /// <summary>
    /// <c>Qwen/Qwen3-30B-A3B</c>. Source: transformers, <c>models/qwen3_moe/modeling_qwen3_moe.py</c>, <c>Qwen3MoeAttention</c>.
    /// </summary>
    public static FamilyDefinition Qwen3Moe() => LlamaFamilies.Type("qwen3_moe", """
        "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643,
        "decoder_sparse_step": 1, "eos_token_id": 151645, "head_dim": 8, "max_position_embeddings": 40960, "max_window_layers": 2,
        "mlp_only_layers": [], "model_type": "qwen3_moe", "moe_intermediate_size": 8, "norm_topk_prob": true, "num_experts": 128,
        "num_experts_per_tok": 8, "num_key_value_heads": 2, "output_router_logits": false, "rms_norm_eps": 1e-06, "rope_scaling": null,
        "rope_theta": 1000000.0, "router_aux_loss_coef": 0.001, "sliding_window": null, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "use_sliding_window": false, "vocab_size": 151936
        """, HeadSize, (checkpoint, _, length) => LlamaFamilies.Plain(checkpoint, length) with { Norms = (0.0, 1e-6) }, add: AddNorms);

    /// <summary>
    /// Qwen3-MoE with a window, which all layers have. Source: transformers, <c>models/qwen3_moe/modeling_qwen3_moe.py</c>,
    /// <c>Qwen3MoeModel.forward</c> (commit 00d4b3d2142cb4ced2f51b90614b5d26bc045015). No published file has one.
    /// </summary>
    public static FamilyDefinition WindowedQwen3Moe() => LlamaFamilies.Type("qwen3_moe (windows)", """
        "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "head_dim": 8, "max_position_embeddings": 40960,
        "max_window_layers": 2, "model_type": "qwen3_moe", "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_scaling": null,
        "rope_theta": 1000000.0, "sliding_window": 5, "tie_word_embeddings": false, "use_sliding_window": true, "vocab_size": 151936
        """, HeadSize, (checkpoint, _, length) => LlamaFamilies.Plain(checkpoint, length) with { Norms = (0.0, 1e-6), Window = 5 },
        add: AddNorms);

    /// <summary>
    /// <c>microsoft/Phi-3-mini-4k-instruct</c>: rows of <c>qkv_proj</c> are all queries, all keys, all values. Source: transformers,
    /// <c>models/phi3/modeling_phi3.py</c>, <c>Phi3Attention</c> (commit 00d4b3d2142cb4ced2f51b90614b5d26bc045015).
    /// </summary>
    public static FamilyDefinition Phi3() => Phi3Type("phi3", """
        "_name_or_path": "Phi-3-mini-4k-instruct", "max_position_embeddings": 4096, "original_max_position_embeddings": 4096,
        "rope_scaling": null, "sliding_window": 5
        """, HeadSize);

    /// <summary>
    /// <c>microsoft/Phi-3-mini-128k-instruct</c>, LongRoPE, with an original context shorter than the longest call of the test. Source: as
    /// <see cref="Phi3"/> and <see cref="Rotation"/>.
    /// </summary>
    public static FamilyDefinition LongPhi3() => Phi3Type("phi3 (longrope)", """
        "_name_or_path": "Phi-3-mini-128k-instruct", "max_position_embeddings": 40, "original_max_position_embeddings": 10,
        "rope_scaling": { "long_factor": [1.07, 1.3, 20.1, 61.2], "short_factor": [1.0, 1.05, 1.4, 2.8], "type": "longrope" },
        "sliding_window": 262144
        """, HeadSize);

    /// <summary>
    /// An early revision of <c>microsoft/Phi-3-mini-128k-instruct</c>, which names LongRoPE "su" (<c>Phi3Config</c> renames it). Source: as
    /// <see cref="LongPhi3"/>.
    /// </summary>
    public static FamilyDefinition SuPhi3() => Phi3Type("phi3 (su)", """
        "_name_or_path": "Phi-3-mini-128k-instruct", "max_position_embeddings": 40, "original_max_position_embeddings": 10,
        "rope_scaling": { "long_factor": [1.07, 1.3, 20.1, 61.2], "short_factor": [1.0, 1.05, 1.4, 2.8], "type": "su" },
        "sliding_window": 262144
        """, HeadSize);

    /// <summary>
    /// <c>microsoft/Phi-4-mini-instruct</c>: LongRoPE of three quarters of each head. Source: as <see cref="LongPhi3"/>.
    /// </summary>
    public static FamilyDefinition Phi4Mini() => Phi3Type("phi3 (Phi-4-mini)", """
        "_name_or_path": "Phi-4-mini-instruct", "full_attn_mod": 1, "interpolate_factor": 1, "lm_head_bias": false,
        "max_position_embeddings": 40, "mlp_bias": false, "original_max_position_embeddings": 10, "partial_rotary_factor": 0.75,
        "rope_scaling": { "long_factor": [1.0, 1.9, 30.5], "short_factor": [1.0, 1.0, 1.2], "type": "longrope" }, "sliding_window": 262144
        """, 6);

    private static void AddNorms(HubCheckpoint checkpoint, string prefix) =>
        checkpoint.AddNorm(prefix + "q_norm.weight", HeadSize).AddNorm(prefix + "k_norm.weight", HeadSize);

    private static FamilyDefinition Phi3Type(string name, string members, int rotated) => new(name, random =>
    {
        var checkpoint = new HubCheckpoint($$"""
            { {{members}}, "architectures": ["Phi3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
            "auto_map": { "AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM" },
            "bos_token_id": 1, "embd_pdrop": 0.0, "eos_token_id": 32000, "hidden_act": "silu", "hidden_size": 32, "initializer_range": 0.02,
            "intermediate_size": 48, "model_type": "phi3", "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2,
            "pad_token_id": 32000, "resid_pdrop": 0.0, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false,
            "torch_dtype": "bfloat16", "transformers_version": "4.40.2", "use_cache": true, "vocab_size": 32064 }
            """, random);
        for (int n = 0; n < 2; n++)
        {
            string layer = $"model.layers.{n}.";
            checkpoint.AddMatrix(layer + "self_attn.qkv_proj.weight", 32 + 16 + 16, 32).AddMatrix(layer + "self_attn.o_proj.weight", 32, 32)
                .AddNorm(layer + "input_layernorm.weight", 32).AddMatrix(layer + "mlp.gate_up_proj.weight", 96, 32);
        }

        return checkpoint;
    }, [new("model.layers.1.self_attn", 1, ModelStack.Decoder, IsCausal: true)], (checkpoint, layer, rows) =>
    {
        double[][] joined = checkpoint.Linear(layer.Prefix + ".qkv_proj", rows.Query);
        var rotation = Rotation.Scaled(
            checkpoint.Member("rope_scaling"), checkpoint.Number("rope_theta"), rotated, rows.Query.Length,
            checkpoint.Int("max_position_embeddings"), checkpoint.Int("original_max_position_embeddings"));
        var decoder = new RotaryDecoder(4, 2, HeadSize, rotation) { Window = checkpoint.Int("sliding_window") };
        double[][] mixed = decoder.Mix(
            checkpoint, layer.Prefix, Float64.Columns(joined, 0, 32), Float64.Columns(joined, 32, 16), Float64.Columns(joined, 48, 16));
        return checkpoint.Linear(layer.Prefix + ".o_proj", mixed);
    })
    { Size = 32 };
}
