namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>Llama and decoders that differ from it in a scale, a window, biases or norms.</summary>
internal static class LlamaFamilies
{
    private const int Size = 24;
    private const int Layers = 2;
    private const int Heads = 4;
    private const int Shared = 2;
    private const int HeadSize = 8;

    // Members of all of these files.
    private const string Common = """
        "hidden_act": "silu", "hidden_size": 24, "initializer_range": 0.02, "intermediate_size": 8, "num_attention_heads": 4,
        "num_hidden_layers": 2, "use_cache": true, "transformers_version": "4.40.0.dev0"
        """;

    private const string LlamaMembers = """
        "_name_or_path": "meta-llama/Llama-2-7b-hf", "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
        "model_type": "llama", "num_key_value_heads": 4, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "tie_word_embeddings": false,
        "torch_dtype": "float16", "vocab_size": 32000
        """;

    /// <summary>
    /// <c>meta-llama/Llama-2-7b-hf</c>, whose first files stored each layer's frequencies. Source: transformers,
    /// <c>models/llama/modeling_llama.py</c>, <c>LlamaAttention</c>; without <c>rope_theta</c> the base is 10000
    /// (<c>configuration_llama.py</c>).
    /// </summary>
    public static FamilyDefinition Llama2() => Type("llama (2)", $$"""
        {{LlamaMembers}}, "max_position_embeddings": 4096, "rope_scaling": null
        """, 6, (checkpoint, _, length) => Plain(checkpoint, length, 6), queries: 24, keys: 24, add: (checkpoint, prefix) =>
        checkpoint.AddFloats(prefix + "rotary_emb.inv_freq", [1f, 0.05f, 0.002f], 3));

    /// <summary>
    /// <c>huggyllama/llama-7b</c>: no number of key/value heads, and another name of the longest call. Source: as
    /// <see cref="Llama2"/>.
    /// </summary>
    public static FamilyDefinition Llama1() => Type("llama (1)", """
        "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 2048,
        "max_sequence_length": 2048, "model_type": "llama", "pad_token_id": 0, "rms_norm_eps": 1e-06, "tie_word_embeddings": false,
        "torch_dtype": "float16", "vocab_size": 32000
        """, 6, (checkpoint, _, length) => Plain(checkpoint, length, 6), queries: 24, keys: 24);

    /// <summary><c>meta-llama/Llama-3.2-1B</c>, with an original context so short that all three ranges have frequencies.</summary>
    public static FamilyDefinition Llama3() => Type("llama (3)", """
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 128000,
        "eos_token_id": 128001, "head_dim": 8, "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
        "num_key_value_heads": 2, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": { "factor": 32.0, "high_freq_factor": 4.0,
        "low_freq_factor": 1.0, "original_max_position_embeddings": 700, "rope_type": "llama3" }, "rope_theta": 500000.0,
        "tie_word_embeddings": true, "torch_dtype": "bfloat16", "vocab_size": 128256
        """, HeadSize, (checkpoint, _, length) => Plain(checkpoint, length));

    /// <summary><c>lmsys/vicuna-7b-v1.5-16k</c>, linear scaling.</summary>
    public static FamilyDefinition Vicuna() => Type("llama (linear)", $$"""
        {{LlamaMembers}}, "max_position_embeddings": 4096, "max_sequence_length": 16384, "pad_token_id": 0,
        "rope_scaling": { "factor": 4.0, "type": "linear" }
        """, 6, (checkpoint, _, length) => Plain(checkpoint, length, 6), queries: 24, keys: 24);

    /// <summary>A Llama with dynamic NTK scaling, whose longest call is shorter than the test's.</summary>
    public static FamilyDefinition DynamicLlama() => Type("llama (dynamic)", $$"""
        {{LlamaMembers}}, "max_position_embeddings": 10, "rope_scaling": { "factor": 2.0, "type": "dynamic" }, "rope_theta": 10000.0
        """, 6, (checkpoint, _, length) => Plain(checkpoint, length, 6), queries: 24, keys: 24);

    /// <summary>
    /// A Llama that transformers 5 wrote: <c>rope_parameters</c> and <c>dtype</c>. Source: <c>convert_rope_params_to_dict</c> and
    /// <c>RopeParameters</c> of transformers' <c>modeling_rope_utils.py</c> from version 5 on.
    /// </summary>
    public static FamilyDefinition LlamaOfTransformers5() => Type("llama (transformers 5)", """
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 1, "dtype": "float32",
        "eos_token_id": 2, "head_dim": 8, "max_position_embeddings": 4096, "mlp_bias": false, "model_type": "llama",
        "num_key_value_heads": 2, "pad_token_id": null, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
        "rope_parameters": { "rope_theta": 250000.0, "rope_type": "default" }, "tie_word_embeddings": false, "vocab_size": 32000
        """, HeadSize, (checkpoint, _, _) =>
            new(Heads, Shared, HeadSize, Rotation.Default(checkpoint.Number("rope_parameters.rope_theta"), HeadSize)));

    /// <summary>A Llama with biases of all four projections (<c>attention_bias</c>).</summary>
    public static FamilyDefinition BiasedLlama() => Type("llama (biases)", """
        "architectures": ["LlamaForCausalLM"], "attention_bias": true, "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
        "max_position_embeddings": 4096, "model_type": "llama", "num_key_value_heads": 2, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
        "rope_scaling": null, "rope_theta": 10000.0, "tie_word_embeddings": false, "torch_dtype": "float16", "vocab_size": 64000
        """, 6, (checkpoint, _, length) => Plain(checkpoint, length, 6), queries: 24, keys: 12, bias: true, outputBias: true);

    /// <summary>
    /// <c>mistralai/Mistral-7B-v0.1</c>. Source: transformers, <c>models/mistral/modeling_mistral.py</c>, <c>MistralAttention</c>, and
    /// <c>masking_utils.py</c>.
    /// </summary>
    public static FamilyDefinition Mistral() => Type("mistral", """
        "architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 32768,
        "model_type": "mistral", "num_key_value_heads": 2, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 5,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 32000
        """, 6, (checkpoint, _, length) => Plain(checkpoint, length, 6) with { Window = checkpoint.Int("sliding_window") },
        queries: 24, keys: 12);

    /// <summary>
    /// <c>mistralai/Mistral-Nemo-Base-2407</c>: heads of a size of their own, no window. Source: as <see cref="Mistral"/>.
    /// </summary>
    public static FamilyDefinition MistralNemo() => Type("mistral (Nemo)", """
        "architectures": ["MistralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2, "head_dim": 8,
        "max_position_embeddings": 128000, "model_type": "mistral", "num_key_value_heads": 2, "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0, "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 131072
        """, HeadSize, (checkpoint, _, length) => Plain(checkpoint, length));

    /// <summary>
    /// <c>mistralai/Mixtral-8x7B-v0.1</c>. Source: transformers, <c>models/mixtral/modeling_mixtral.py</c>, <c>MixtralAttention</c>.
    /// </summary>
    public static FamilyDefinition Mixtral() => Type("mixtral", """
        "architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
        "max_position_embeddings": 32768, "model_type": "mixtral", "num_experts_per_tok": 2, "num_key_value_heads": 2,
        "num_local_experts": 8, "output_router_logits": false, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0,
        "router_aux_loss_coef": 0.02, "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 32000
        """, 6, (checkpoint, _, length) => Plain(checkpoint, length, 6), queries: 24, keys: 12);

    /// <summary>
    /// <c>bigcode/starcoder2-3b</c>: biases of all four projections. Source: transformers,
    /// <c>models/starcoder2/modeling_starcoder2.py</c>, <c>Starcoder2Attention</c>.
    /// </summary>
    public static FamilyDefinition Starcoder2() => Type("starcoder2", """
        "architectures": ["Starcoder2ForCausalLM"], "attention_dropout": 0.1, "bos_token_id": 0, "embedding_dropout": 0.1,
        "eos_token_id": 0,
        "layer_norm_epsilon": 1e-05, "max_position_embeddings": 16384, "mlp_type": "default", "model_type": "starcoder2",
        "norm_epsilon": 1e-05, "norm_type": "layer_norm", "num_key_value_heads": 2, "residual_dropout": 0.1,
        "rope_theta": 999999.4420358813, "sliding_window": 5, "torch_dtype": "bfloat16", "use_bias": true, "vocab_size": 49152
        """, 6, (checkpoint, _, length) => Plain(checkpoint, length, 6) with { Window = 5 },
        queries: 24, keys: 12, bias: true, outputBias: true);

    /// <summary><c>allenai/OLMo-1B-hf</c>. Source: transformers, <c>models/olmo/modeling_olmo.py</c>, <c>OlmoAttention</c>.</summary>
    public static FamilyDefinition Olmo() => Type("olmo", """
        "architectures": ["OlmoForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "clip_qkv": null, "eos_token_id": 50279,
        "max_position_embeddings": 2048, "model_type": "olmo", "num_key_value_heads": 4, "pad_token_id": 1, "rope_scaling": null,
        "rope_theta": 10000.0, "tie_word_embeddings": true, "torch_dtype": "float32", "vocab_size": 50304
        """, 6, (checkpoint, _, length) => Plain(checkpoint, length, 6), queries: 24, keys: 24);

    /// <summary>
    /// <c>ibm-granite/granite-3.1-2b-base</c>: a scale of its own. Source: transformers, <c>models/granite/modeling_granite.py</c>,
    /// <c>GraniteAttention</c>.
    /// </summary>
    public static FamilyDefinition Granite() => Type("granite", """
        "architectures": ["GraniteForCausalLM"], "attention_bias": false, "attention_dropout": 0.1, "attention_multiplier": 0.46875,
        "bos_token_id": 0, "embedding_multiplier": 12.0, "eos_token_id": 0, "logits_scaling": 8.0, "max_position_embeddings": 131072,
        "mlp_bias": false, "model_type": "granite", "num_key_value_heads": 2, "pad_token_id": 0, "residual_multiplier": 0.22,
        "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 5000000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
        "vocab_size": 49152
        """, 6, (checkpoint, _, length) => Plain(checkpoint, length, 6) with { Scale = checkpoint.Number("attention_multiplier") },
        queries: 24, keys: 12);

    /// <summary>
    /// <c>stabilityai/stablelm-2-1_6b</c>: a quarter of each head is rotated. Source: transformers,
    /// <c>models/stablelm/modeling_stablelm.py</c>, <c>StableLmAttention</c> (commit 00dcc6dda6f6d8e69541a6b51f97986a80242367).
    /// </summary>
    public static FamilyDefinition StableLm() => Type("stablelm", """
        "architectures": ["StableLmForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 100257, "eos_token_id": 100257,
        "hidden_dropout": 0.0, "layer_norm_eps": 1e-05, "max_position_embeddings": 4096, "model_type": "stablelm",
        "num_key_value_heads": 4, "partial_rotary_factor": 0.25, "qk_layernorm": false, "rope_scaling": null, "rope_theta": 10000,
        "tie_word_embeddings": false, "torch_dtype": "float16", "use_parallel_residual": false, "use_qkv_bias": true, "vocab_size": 100352,
        "hidden_size": 64
        """, 16, (checkpoint, _, _) => new(Heads, Heads, 16, Rotation.Default(10000.0, 4)), size: 64, queries: 64, keys: 64, bias: true);

    /// <summary>The decoder that the configuration's usual members give.</summary>
    internal static RotaryDecoder Plain(HubCheckpoint checkpoint, int length, int headSize = HeadSize) => new(
        checkpoint.Int("num_attention_heads"),
        checkpoint.Int(checkpoint.Has("num_key_value_heads") ? "num_key_value_heads" : "num_attention_heads"), headSize,
        Rotation.Scaled(
            checkpoint.Member("rope_scaling"), checkpoint.Has("rope_theta") ? checkpoint.Number("rope_theta") : 10000.0, headSize, length,
            checkpoint.Int("max_position_embeddings")));

    /// <summary>A family of this kind; members that are given twice are the family's.</summary>
    internal static FamilyDefinition Type(
        string name, string members, int headSize, Func<HubCheckpoint, int, int, RotaryDecoder> decoder, int size = Size,
        int queries = Heads * HeadSize, int keys = Shared * HeadSize, bool bias = false, bool outputBias = false, int layers = Layers,
        int[]? tested = null, Action<HubCheckpoint, string>? add = null) => new(name, random =>
    {
        Assert.Equal(0, queries % headSize);
        HubCheckpoint checkpoint = new HubCheckpoint($$"""{ {{Common}} }""", random).Change(members, []);
        RotaryDecoder.AddLayers(checkpoint, layers, size, queries, keys, bias, outputBias, prefix => add?.Invoke(checkpoint, prefix));
        return checkpoint;
    },
        [.. (tested ?? [1]).Select(n => new DefinedLayer($"model.layers.{n}.self_attn", n, ModelStack.Decoder, IsCausal: true))],
        (checkpoint, layer, rows) => decoder(checkpoint, layer.Index, rows.Query.Length).Attend(checkpoint, layer.Prefix, rows.Query))
        { Size = size };
}
