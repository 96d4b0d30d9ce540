namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>Decoders whose queries, keys and values come from one matrix, each in an order of its own, and GPT-J.</summary>
internal static class FusedFamilies
{
    private const int Size = 24;

    /// <summary>
    /// <c>openai-community/gpt2</c>: <c>Conv1D</c> stores the transposed matrix; its columns are all queries, all keys, all values; each
    /// layer's causal mask is stored. Source: transformers, <c>models/gpt2/modeling_gpt2.py</c>, <c>GPT2Attention</c>, and
    /// <c>pytorch_utils.py</c>, <c>Conv1D</c>.
    /// </summary>
    public static FamilyDefinition Gpt2() => Gpt2Type("gpt2", "", """
        "task_specific_params": { "text-generation": { "do_sample": true, "max_length": 50 } }
        """);

    /// <summary>
    /// <c>stanford-crfm/alias-gpt2-small-x21</c>: scores are divided by the layer's number, from 1, besides. Source: as <see cref="Gpt2"/>,
    /// <c>scale_attn_by_inverse_layer_idx</c>.
    /// </summary>
    public static FamilyDefinition MistralGpt2() => Gpt2Type("gpt2 (scale by layer)", "transformer.", """
        "gradient_checkpointing": false, "reorder_and_upcast_attn": true, "scale_attn_by_inverse_layer_idx": true,
        "scale_attn_weights": true,
        "torch_dtype": "float32", "transformers_version": "4.35.0", "use_cache": false
        """);

    /// <summary>
    /// <c>EleutherAI/gpt-j-6b</c>: pairs of neighbours in a part of each head are rotated. Source: transformers,
    /// <c>models/gptj/modeling_gptj.py</c>, <c>GPTJAttention</c> (commit 00b676f8f0489b88652a31d70751cc540dd06305).
    /// </summary>
    public static FamilyDefinition GptJ() => new("gptj", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "activation_function": "gelu_new", "architectures": ["GPTJForCausalLM"], "attn_pdrop": 0.0, "bos_token_id": 50256,
            "embd_pdrop": 0.0, "eos_token_id": 50256, "gradient_checkpointing": false, "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-05, "model_type": "gptj", "n_embd": 32, "n_head": 4, "n_inner": null, "n_layer": 2,
            "n_positions": 2048, "resid_pdrop": 0.0, "rotary": true, "rotary_dim": 4, "scale_attn_weights": true,
            "summary_activation": null, "summary_first_dropout": 0.1, "summary_proj_to_labels": true, "summary_type": "cls_index",
            "summary_use_proj": true, "task_specific_params": { "text-generation": { "do_sample": true, "max_length": 50,
            "temperature": 1.0 } }, "tie_word_embeddings": false, "tokenizer_class": "GPT2Tokenizer",
            "transformers_version": "4.18.0.dev0", "use_cache": true, "vocab_size": 50400 }
            """, random);
        for (int n = 0; n < 2; n++)
        {
            string prefix = $"transformer.h.{n}.attn.";
            foreach (string name in (string[])["k_proj", "v_proj", "q_proj", "out_proj"])
                checkpoint.AddMatrix($"{prefix}{name}.weight", 32, 32);
            checkpoint.AddTriangle(prefix + "bias", "BOOL", 16).AddFloats(prefix + "masked_bias", [-1e9f])
                .AddNorm($"transformer.h.{n}.ln_1.weight", 32);
        }

        return checkpoint;
    }, [new("transformer.h.1.attn", 1, ModelStack.Decoder, IsCausal: true)], (checkpoint, layer, rows) =>
    {
        int heads = checkpoint.Int("n_head");
        int headSize = checkpoint.Int("n_embd") / heads;
        var rotation = Rotation.Default(10000.0, checkpoint.Int("rotary_dim"));
        double[][] Rotated(string name) =>
            Float64.EachHead(checkpoint.Linear($"{layer.Prefix}.{name}", rows.Query), headSize, rotation.EveryTwo);
        double[][] mixed = Float64.Attend(
            Rotated("q_proj"), Rotated("k_proj"), checkpoint.Linear(layer.Prefix + ".v_proj", rows.Query), heads, heads,
            Float64.Scaled(1.0 / Math.Sqrt(headSize), causal: true));
        return checkpoint.Linear(layer.Prefix + ".out_proj", mixed);
    })
    { Size = 32 };

    /// <summary>
    /// <c>EleutherAI/gpt-neox-20b</c>, whose files store masks and frequencies: rows are each head's query, key, value; a quarter of a
    /// head is
    /// rotated. Source: transformers, <c>models/gpt_neox/modeling_gpt_neox.py</c>, <c>GPTNeoXAttention</c> (commit
    /// 006bd23dd0ce18d54e1cf260b09b15fa943a731d).
    /// </summary>
    public static FamilyDefinition GptNeoX() => new("gpt_neox", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "architectures": ["GPTNeoXForCausalLM"], "attention_probs_dropout_prob": 0, "bos_token_id": 0, "eos_token_id": 0,
            "hidden_act": "gelu_fast", "hidden_dropout_prob": 0, "hidden_size": 48, "initializer_range": 0.02, "intermediate_size": 96,
            "layer_norm_eps": 1e-05, "max_position_embeddings": 2048, "model_type": "gpt_neox", "num_attention_heads": 3,
            "num_hidden_layers": 2, "rotary_emb_base": 10000, "rotary_pct": 0.25, "tie_word_embeddings": false, "torch_dtype": "float16",
            "transformers_version": "4.19.0.dev0", "use_cache": true, "use_parallel_residual": true, "vocab_size": 50432 }
            """, random);
        for (int n = 0; n < 2; n++)
        {
            string prefix = $"gpt_neox.layers.{n}.attention.";
            checkpoint.AddLinear(prefix + "query_key_value", 144, 48, bias: true).AddLinear(prefix + "dense", 48, 48, bias: true)
                .AddTriangle(prefix + "bias", "U8", 16).AddFloats(prefix + "masked_bias", [-1e9f])
                .AddFloats(prefix + "rotary_emb.inv_freq", [1f, 0.01f], 2).AddNorm($"gpt_neox.layers.{n}.input_layernorm.weight", 48);
        }

        return checkpoint;
    }, [new("gpt_neox.layers.1.attention", 1, ModelStack.Decoder, IsCausal: true)], (checkpoint, layer, rows) =>
    {
        int heads = checkpoint.Int("num_attention_heads");
        int headSize = checkpoint.Int("hidden_size") / heads;
        var rotation = Rotation.Default(checkpoint.Number("rotary_emb_base"), (int)(headSize * checkpoint.Number("rotary_pct")));
        double[][] joined = checkpoint.Linear(layer.Prefix + ".query_key_value", rows.Query);
        double[][] Part(int part) => Float64.Blocks(joined, headSize, Enumerable.Range(0, heads).Select(head => 3 * head + part));
        double[][] mixed = Float64.Attend(
            rotation.Rotate(Part(0), headSize), rotation.Rotate(Part(1), headSize), Part(2), heads, heads,
            Float64.Scaled(1.0 / Math.Sqrt(headSize), causal: true));
        return checkpoint.Linear(layer.Prefix + ".dense", mixed);
    })
    { Size = 48 };

    /// <summary>
    /// <c>bigscience/bloom-560m</c>, whose names of sizes differ from those of the largest. Source: as <see cref="Bloom"/>.
    /// </summary>
    public static FamilyDefinition SmallBloom() => BloomType("bloom (560m)", """
        "bias_dropout_fusion": true, "n_embed": 48, "n_layer": 2, "num_attention_heads": 8, "seq_length": 2048, "skip_bias_add": true,
        "skip_bias_add_qkv": false, "transformers_version": "4.20.0", "unk_token_id": 0
        """, 8);

    /// <summary>
    /// <c>bigscience/bloom</c>, whose number of heads is no power of two: rows are each head's query, key, value; ALiBi. Source:
    /// transformers,
    /// <c>models/bloom/modeling_bloom.py</c>, <c>BloomAttention</c> and <c>build_alibi_tensor</c> (commit
    /// 0078a6cd96d5ab7c3c429b9fdc3fbc703d894dcc).
    /// </summary>
    public static FamilyDefinition Bloom() => BloomType("bloom", """
        "hidden_size": 48, "n_head": 6, "n_layer": 2, "n_inner": null, "torch_dtype": "bfloat16", "transformers_version": "4.21.0"
        """, 6);

    /// <summary>
    /// <c>tiiuae/falcon-7b</c>: rows are all queries, one key, one value. Source: transformers, <c>models/falcon/modeling_falcon.py</c>,
    /// <c>FalconAttention._split_heads</c> (commit 00dcc6dda6f6d8e69541a6b51f97986a80242367).
    /// </summary>
    public static FamilyDefinition Falcon7B() => FalconFamilies.Type("falcon (7b)", """
        "alibi": false, "bias": false, "multi_query": true, "new_decoder_architecture": false, "parallel_attn": true
        """, keyValueHeads: 1);

    /// <summary>
    /// <c>tiiuae/falcon-40b</c>: rows are group by group the queries, the key, the value. Source: as <see cref="Falcon7B"/>.
    /// </summary>
    public static FamilyDefinition Falcon40B() => FalconFamilies.Type("falcon (40b)", """
        "alibi": false, "bias": false, "multi_query": true, "new_decoder_architecture": true, "num_kv_heads": 2, "parallel_attn": true
        """, keyValueHeads: 2);

    /// <summary>
    /// <c>tiiuae/falcon-rw-1b</c>: rows are each head's query, key, value; ALiBi, added before the scale. Source: as
    /// <see cref="Falcon7B"/>, <c>build_alibi_tensor</c>; slopes of 4 heads have no more digits than bfloat16, to which the source rounds.
    /// </summary>
    public static FamilyDefinition FalconRw() => FalconFamilies.Type("falcon (rw)", """
        "alibi": true, "bias": true, "multi_query": false, "new_decoder_architecture": false, "parallel_attn": false
        """, keyValueHeads: 4);

    /// <summary>
    /// <c>mosaicml/mpt-7b</c>, with a number of heads that is no power of two, whose slopes are in another order than BLOOM's. Source:
    /// transformers, <c>models/mpt/modeling_mpt.py</c>, <c>MptAttention</c>, <c>gen_slopes</c> and <c>build_alibi_bias</c> (commit
    /// 0206c7b0f3a56f3876a66bda1baa00741950221e).
    /// </summary>
    public static FamilyDefinition Mpt() => new("mpt", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "architectures": ["MPTForCausalLM"], "attn_config": { "alibi": true, "alibi_bias_max": 8, "attn_impl": "torch",
            "attn_pdrop": 0, "attn_type": "multihead_attention", "attn_uses_sequence_id": false, "clip_qkv": null, "prefix_lm": false,
            "qk_ln": false, "softmax_scale": null }, "auto_map": { "AutoConfig": "configuration_mpt.MPTConfig",
            "AutoModelForCausalLM": "modeling_mpt.MPTForCausalLM" }, "d_model": 24, "emb_pdrop": 0, "embedding_fraction": 1.0,
            "expansion_ratio": 4, "init_config": { "emb_init_std": null, "emb_init_uniform_lim": null, "fan_mode": "fan_in",
            "init_div_is_residual": true, "init_gain": 0, "init_nonlinearity": "relu", "init_std": 0.02, "name": "kaiming_normal_",
            "verbose": 0 }, "init_device": "cpu", "learned_pos_emb": true, "logit_scale": null, "max_seq_len": 2048, "model_type": "mpt",
            "n_heads": 6, "n_layers": 2, "no_bias": true, "norm_type": "low_precision_layernorm", "resid_pdrop": 0,
            "tokenizer_name": "EleutherAI/gpt-neox-20b", "torch_dtype": "bfloat16", "transformers_version": "4.28.1", "use_cache": false,
            "verbose": 0, "vocab_size": 50432 }
            """, random);
        for (int n = 0; n < 2; n++)
            checkpoint.AddMatrix($"transformer.blocks.{n}.attn.Wqkv.weight", 72, Size)
                .AddMatrix($"transformer.blocks.{n}.attn.out_proj.weight", Size, Size)
                .AddNorm($"transformer.blocks.{n}.norm_1.weight", Size);
        return checkpoint;
    }, [new("transformer.blocks.1.attn", 1, ModelStack.Decoder, IsCausal: true)], (checkpoint, layer, rows) =>
    {
        int heads = checkpoint.Int("n_heads");
        double[][] joined = checkpoint.Linear(layer.Prefix + ".Wqkv", rows.Query);
        int power = 1;
        while (power < heads)
            power *= 2;
        double largest = checkpoint.Number("attn_config.alibi_bias_max");
        double[] all = [.. Enumerable.Range(1, power).Select(m => Math.Pow(2.0, -m * largest / power))];
        double[] slopes = power == heads ? all : [.. all.Where((_, i) => i % 2 == 1), .. all.Where((_, i) => i % 2 == 0)];
        double scale = 1.0 / Math.Sqrt(Size / heads);
        double[][] mixed = Float64.Attend(
            Float64.Columns(joined, 0, Size), Float64.Columns(joined, Size, Size), Float64.Columns(joined, 2 * Size, Size), heads, heads,
            (head, i, j, product) => j > i ? double.NegativeInfinity : product * scale + slopes[head] * (j - (rows.Query.Length - 1)));
        return checkpoint.Linear(layer.Prefix + ".out_proj", mixed);
    })
    { Size = Size };

    /// <summary>
    /// Slopes of ALiBi as BLOOM and Falcon compute them: powers of one base for as many heads as the power of two below, and odd powers of
    /// the next one's base for the others.
    /// </summary>
    internal static double[] Slopes(int heads)
    {
        int power = 1;
        while (2 * power <= heads)
            power *= 2;
        static double Base(int power) => Math.Pow(2.0, -8.0 / power);
        return
        [
            .. Enumerable.Range(1, power).Select(exponent => Math.Pow(Base(power), exponent)),
            .. Enumerable.Range(0, heads - power).Select(i => Math.Pow(Base(2 * power), 2 * i + 1)),
        ];
    }

    private static FamilyDefinition Gpt2Type(string name, string model, string members) => new(name, random =>
    {
        var checkpoint = new HubCheckpoint($$"""
            { {{members}}, "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
            "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05,
            "model_type": "gpt2", "n_ctx": 1024, "n_embd": 24, "n_head": 4, "n_layer": 3, "n_positions": 1024, "resid_pdrop": 0.1,
            "summary_activation": null, "summary_first_dropout": 0.1, "summary_proj_to_labels": true, "summary_type": "cls_index",
            "summary_use_proj": true, "vocab_size": 50257 }
            """, random);
        for (int n = 0; n < 3; n++)
        {
            string prefix = $"{model}h.{n}.attn.";
            checkpoint.AddMatrix(prefix + "c_attn.weight", Size, 3 * Size).AddVector(prefix + "c_attn.bias", 3 * Size)
                .AddLinear(prefix + "c_proj", Size, Size, bias: true).AddTriangle(prefix + "bias", "F32", 16)
                .AddNorm($"{model}h.{n}.ln_1.weight", Size);
        }

        return checkpoint;
    }, [new(model + "h.2.attn", 2, ModelStack.Decoder, IsCausal: true)], (checkpoint, layer, rows) =>
    {
        int heads = checkpoint.Int("n_head");
        double[][] joined = checkpoint.Conv1D(layer.Prefix + ".c_attn", rows.Query);
        double scale = 1.0 / Math.Sqrt(Size / heads);
        if (checkpoint.Has("scale_attn_by_inverse_layer_idx") && checkpoint.Flag("scale_attn_by_inverse_layer_idx"))
            scale /= layer.Index + 1;
        double[][] mixed = Float64.Attend(
            Float64.Columns(joined, 0, Size), Float64.Columns(joined, Size, Size), Float64.Columns(joined, 2 * Size, Size), heads, heads,
            Float64.Scaled(scale, causal: true));
        return checkpoint.Conv1D(layer.Prefix + ".c_proj", mixed);
    })
    { Size = Size };

    private static FamilyDefinition BloomType(string name, string members, int heads) => new(name, random =>
    {
        var checkpoint = new HubCheckpoint($$"""
            { {{members}}, "apply_residual_connection_post_layernorm": false, "architectures": ["BloomForCausalLM"],
            "attention_dropout": 0.0, "attention_softmax_in_fp32": true, "bos_token_id": 1, "eos_token_id": 2, "hidden_dropout": 0.0,
            "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "masked_softmax_fusion": true, "model_type": "bloom",
            "offset_alibi": 100, "pad_token_id": 3, "pretraining_tp": 1, "slow_but_exact": false, "use_cache": true, "vocab_size": 250880 }
            """, random);
        for (int n = 0; n < 2; n++)
            checkpoint.AddLinear($"h.{n}.self_attention.query_key_value", 144, 48, bias: true)
                .AddLinear($"h.{n}.self_attention.dense", 48, 48, bias: true).AddNorm($"h.{n}.input_layernorm.weight", 48);
        return checkpoint;
    }, [new("h.1.self_attention", 1, ModelStack.Decoder, IsCausal: true)], (checkpoint, layer, rows) =>
    {
        int headSize = 48 / heads;
        double[][] joined = checkpoint.Linear(layer.Prefix + ".query_key_value", rows.Query);
        double[][] Part(int part) => Float64.Blocks(joined, headSize, Enumerable.Range(0, heads).Select(head => 3 * head + part));
        double[] slopes = Slopes(heads);
        double scale = 1.0 / Math.Sqrt(headSize);
        double[][] mixed = Float64.Attend(
            Part(0), Part(1), Part(2), heads, heads,
            (head, i, j, product) => j > i ? double.NegativeInfinity : product * scale + slopes[head] * j);
        return checkpoint.Linear(layer.Prefix + ".dense", mixed);
    })
    { Size = 48 };
}
