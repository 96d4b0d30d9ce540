using System.Numerics.Tensors;
using AttentionGpu.Tests.Layers;

namespace AttentionGpu.Tests.Models;

/// <summary>
/// The architectures, with the members that their published configurations have, in small. Names, orders and formulas are those of
/// transformers' <c>modeling_*.py</c>.
/// </summary>
internal static class PublishedModels
{
    public const string Sizes = "\"hidden_size\":32,\"num_attention_heads\":4,\"attention_dropout\":0.0,\"torch_dtype\":\"float32\"";
    public const string Grouped = Sizes + ",\"num_key_value_heads\":2,\"rms_norm_eps\":1e-05,\"attention_bias\":false";

    private static readonly MultiHeadAttentionConfig _grouped = new() { EmbeddingSize = 32, Heads = 4, KeyValueHeads = 2 };
    private static readonly RotaryDefinition _rotary = new(10_000.0, 8);

    private static readonly PublishedModel _llama = new()
    {
        Types = ["llama"],
        Json = $$$"""{"model_type":"TYPE",{{{Grouped}}},"rope_theta":10000.0,"rope_scaling":null}""",
        Prefix = "model.layers.3.self_attn.",
        Index = 3,
        Store = layer => layer.Separate("q_proj", "k_proj", "v_proj", "o_proj"),
        Config = _grouped,
        Rotary = _rotary,
    };

    private static readonly PublishedModel _bert = new()
    {
        Types = ["bert", "roberta", "xlm-roberta", "camembert", "electra"],
        Json = $$$"""
            {"model_type":"TYPE",{{{Sizes}}},"attention_probs_dropout_prob":0.1,"position_embedding_type":"absolute","is_decoder":false}
            """,
        Prefix = "bert.encoder.layer.2.attention.",
        Index = 2,
        Stack = ModelStack.Encoder,
        IsCausal = false,
        Store = layer =>
        {
            layer.Separate("self.query", "self.key", "self.value", "output.dense");
            layer.Add("output.LayerNorm.weight", Tensor.Create(new float[32], [32]));
            layer.Add("output.LayerNorm.bias", Tensor.Create(new float[32], [32]));
        },
        InputBiases = true,
        OutputBias = true,
    };

    private static readonly PublishedModel _seq2Seq = new()
    {
        Types = ["bart", "mbart", "marian", "m2m_100", "pegasus", "blenderbot", "blenderbot-small", "whisper"],
        Json = """{"model_type":"TYPE","d_model":32,"encoder_attention_heads":4,"decoder_attention_heads":8,"attention_dropout":0.0}""",
        Prefix = "model.decoder.layers.1.self_attn.",
        Index = 1,
        Store = layer => layer.Separate("q_proj", "k_proj", "v_proj", "out_proj"),
        Config = new() { EmbeddingSize = 32, Heads = 8 },
        InputBiases = true,
        OutputBias = true,
    };

    private static readonly PublishedModel _gpt2 = new()
    {
        Types = ["gpt2"],
        Json = """
            {"model_type":"TYPE","n_embd":32,"n_head":4,"attn_pdrop":0.1,"scale_attn_weights":true,
             "scale_attn_by_inverse_layer_idx":false,"reorder_and_upcast_attn":false,"summary_use_proj":true}
            """,
        Prefix = "transformer.h.2.attn.",
        Index = 2,
        Store = layer =>
        {
            layer.Transposed("c_attn", "c_proj");
            layer.Add("bias", CausalMask(6));
            layer.Add("masked_bias", Tensor.Create([-10_000f], [1]));
        },
        InputBiases = true,
        OutputBias = true,
    };

    private static readonly PublishedModel _gemma2 = _llama with
    {
        Types = ["gemma2"],
        Json = $$$"""
            {"model_type":"TYPE",{{{Grouped}}},"head_dim":12,"rope_theta":10000.0,"query_pre_attn_scalar":20,"sliding_window":4,
             "attn_logit_softcapping":1.5,"final_logit_softcapping":30.0}
            """,
        Config = _grouped with { HeadSize = 12, Scale = (float)(1.0 / Math.Sqrt(20.0)), Softcap = 1.5f },
        Rotary = new(10_000.0, 12),
    };

    private static readonly PublishedModel _gemma3 = _llama with
    {
        Types = ["gemma3_text"],
        Json = $$$"""
            {"model_type":"TYPE",{{{Grouped}}},"head_dim":12,"rope_theta":1000000,"rope_local_base_freq":10000.0,"sliding_window":4,
             "sliding_window_pattern":4,"query_pre_attn_scalar":20,"attn_logit_softcapping":null,
             "rope_scaling":{"factor":8.0,"rope_type":"linear"}}
            """,
        Store = layer =>
        {
            _llama!.Store(layer);
            layer.Norms(less: 1f);
        },
        Norms = true,
        Config = _grouped with { HeadSize = 12, Scale = (float)(1.0 / Math.Sqrt(20.0)), NormEpsilon = 1e-5f },
        Rotary = new(1e6, 12) { Scaling = ScalingForm.Linear, Factor = 8.0 },
    };

    private static readonly PublishedModel _gptOss = _llama with
    {
        Types = ["gpt_oss"],
        Json = $$$"""
            {"model_type":"TYPE",{{{Grouped}}},"rope_theta":150000,"sliding_window":4,"initial_context_length":4096,
             "layer_types":["sliding_attention","full_attention","sliding_attention","full_attention"],
             "rope_scaling":{"beta_fast":32.0,"beta_slow":1.0,"factor":32.0,"original_max_position_embeddings":64,"rope_type":"yarn",
             "truncate":false}}
            """,
        Store = layer =>
        {
            _llama!.Store(layer);
            layer.Sinks();
        },
        InputBiases = true,
        OutputBias = true,
        Sinks = true,
        Rotary = new(150_000.0, 8) { Scaling = ScalingForm.Yarn, Factor = 32.0, OriginalContext = 64, Truncate = false },
    };

    private static readonly PublishedModel _falcon = new()
    {
        Types = ["falcon"],
        Json = $$$"""
            {"model_type":"TYPE",{{{Sizes}}},"alibi":false,"bias":false,"multi_query":true,"new_decoder_architecture":false,
             "parallel_attn":true,"rope_theta":10000.0}
            """,
        Prefix = "transformer.h.1.self_attention.",
        Index = 1,
        Store = layer =>
        {
            layer.Grouped("query_key_value");
            layer.Output("dense");
        },
        Config = new() { EmbeddingSize = 32, Heads = 4, KeyValueHeads = 1 },
        Rotary = _rotary,
    };

    private static readonly PublishedModel _modernBert = new()
    {
        Types = ["modernbert"],
        Json = $$$"""
            {"model_type":"TYPE",{{{Sizes}}},"attention_bias":false,"global_attn_every_n_layers":3,"global_rope_theta":160000.0,
             "local_attention":6,"local_rope_theta":10000.0,"deterministic_flash_attn":false,"position_embedding_type":"absolute"}
            """,
        Prefix = "model.layers.3.attn.",
        Index = 3,
        Stack = ModelStack.Encoder,
        IsCausal = false,
        Store = layer =>
        {
            layer.Stacked("Wqkv");
            layer.Output("Wo");
        },
        Rotary = new(160_000.0, 8),
    };

    /// <summary>Llama 2, whose names many models have.</summary>
    public static PublishedModel Llama => _llama;

    /// <summary>The decoder of BART and its like.</summary>
    public static PublishedModel Decoder => _seq2Seq;

    /// <summary>Gemma 3 without images.</summary>
    public static PublishedModel Gemma3 => _gemma3;

    private static readonly Dictionary<string, PublishedModel> _plain = new()
    {
        ["BERT"] = _bert,
        ["BERT, base model"] = _bert with { Types = ["bert"], Prefix = "encoder.layer.2.attention." },
        ["DistilBERT"] = _bert with
        {
            Types = ["distilbert"],
            Json = """{"model_type":"TYPE","dim":32,"n_heads":4,"attention_dropout":0.1,"sinusoidal_pos_embds":false}""",
            Prefix = "distilbert.transformer.layer.2.attention.",
            Store = layer => layer.Separate("q_lin", "k_lin", "v_lin", "out_lin"),
        },
        ["ViT"] = _bert with
        {
            Types = ["vit", "deit", "dinov2"],
            Json = $$$"""{"model_type":"TYPE",{{{Sizes}}},"attention_probs_dropout_prob":0.0,"qkv_bias":true}""",
            Prefix = "vit.encoder.layer.2.attention.",
            Store = layer => layer.Separate("attention.query", "attention.key", "attention.value", "output.dense"),
        },
        ["ModernBERT, all tokens"] = _modernBert,
        ["ModernBERT, window"] = _modernBert with
        {
            Prefix = "model.layers.2.attn.",
            Index = 2,
            Config = new() { EmbeddingSize = 32, Heads = 4, Window = new() { Left = 3, Right = 3 } },
            Rotary = _rotary,
        },
        ["GPT-2"] = _gpt2,
        ["GPT-J"] = new()
        {
            Types = ["gptj"],
            Json = """{"model_type":"TYPE","n_embd":32,"n_head":4,"rotary":true,"rotary_dim":4,"scale_attn_weights":true,"attn_pdrop":0.0}""",
            Prefix = "transformer.h.0.attn.",
            Index = 0,
            Store = _seq2Seq.Store,
            Rotary = new(10_000.0, 4) { Interleaved = true },
        },
        ["GPT-NeoX"] = new()
        {
            Types = ["gpt_neox"],
            Json = """{"model_type":"TYPE","hidden_size":32,"num_attention_heads":2,"rotary_pct":0.25,"rotary_emb_base":5000}""",
            Prefix = "gpt_neox.layers.1.attention.",
            Index = 1,
            Store = layer =>
            {
                layer.Grouped("query_key_value");
                layer.Output("dense");
                layer.Add("rotary_emb.inv_freq", Tensor.Create([1f], [1]));
            },
            InputBiases = true,
            OutputBias = true,
            Config = new() { EmbeddingSize = 32, Heads = 2 },
            Rotary = new(5000.0, 4),
        },
        ["BLOOM"] = new()
        {
            Types = ["bloom"],
            Json = """
                {"model_type":"TYPE","n_embed":48,"n_layer":2,"num_attention_heads":6,"attention_softmax_in_fp32":true,"offset_alibi":100,
                 "attention_dropout":0.0}
                """,
            Prefix = "transformer.h.1.self_attention.",
            Index = 1,
            Store = _falcon.Store,
            InputBiases = true,
            OutputBias = true,
            Config = new() { EmbeddingSize = 48, Heads = 6 },

            // build_alibi_tensor: 2^-2, 2^-4, 2^-6, 2^-8 of four heads, then the first and third of eight.
            Slopes = [0.25f, 0.0625f, 0.015625f, 0.00390625f, 0.5f, 0.125f],
        },
        ["Falcon 7B"] = _falcon,
        ["Falcon 40B"] = _falcon with
        {
            Json = $$$"""
                {"model_type":"TYPE",{{{Sizes}}},"alibi":false,"bias":false,"multi_query":true,"new_decoder_architecture":true,
                 "num_kv_heads":2,"parallel_attn":true}
                """,
            Config = _grouped,
        },
        ["OPT"] = new()
        {
            Types = ["opt"],
            Json = $$$"""{"model_type":"TYPE",{{{Sizes}}},"enable_bias":true,"do_layer_norm_before":true}""",
            Prefix = "model.decoder.layers.11.self_attn.",
            Index = 11,
            Store = _seq2Seq.Store,
            InputBiases = true,
            OutputBias = true,
        },
        ["encoder and decoder: decoder"] = _seq2Seq,
        ["encoder and decoder: encoder"] = _seq2Seq with
        {
            Prefix = "model.encoder.layers.1.self_attn.",
            Stack = ModelStack.Encoder,
            IsCausal = false,
            Config = new() { EmbeddingSize = 32, Heads = 4 },
        },
        ["encoder and decoder: cross-attention"] =
            _seq2Seq with { Prefix = "model.decoder.layers.1.encoder_attn.", IsCross = true, IsCausal = false },
        ["Llama 2"] = _llama with { Types = ["llama", "gemma", "olmo"] },
        ["Llama 3.1"] = _llama with
        {
            Json = $$$"""
                {"model_type":"TYPE",{{{Grouped}}},"rope_theta":500000.0,"rope_scaling":{"factor":8.0,"low_freq_factor":1.0,
                 "high_freq_factor":4.0,"original_max_position_embeddings":32,"rope_type":"llama3"}}
                """,
            Rotary = new(500_000.0, 8) { Scaling = ScalingForm.Llama3, Factor = 8.0, Low = 1.0, High = 4.0, OriginalContext = 32 },
        },
        ["Mistral"] = _llama with
        {
            Types = ["mistral", "mixtral", "starcoder2"],
            Json = $$$"""{"model_type":"TYPE",{{{Grouped}}},"rope_theta":10000.0,"sliding_window":4}""",
            Config = _grouped with { Window = new() { Left = 3 } },
        },
        ["Qwen2"] = _llama with
        {
            Types = ["qwen2"],
            Json = $$$"""
                {"model_type":"TYPE",{{{Grouped}}},"rope_theta":1000000.0,"sliding_window":4,"use_sliding_window":true,"max_window_layers":4}
                """,
            InputBiases = true,
            Rotary = new(1e6, 8),
        },
        ["Qwen2 with experts"] = _llama with
        {
            Types = ["qwen2_moe"],
            Json = $$$"""
                {"model_type":"TYPE",{{{Grouped}}},"rope_theta":1000000.0,"sliding_window":4,"use_sliding_window":false,"max_window_layers":4}
                """,
            InputBiases = true,
            Rotary = new(1e6, 8),
        },
        ["Qwen3"] = _llama with
        {
            Types = ["qwen3", "qwen3_moe"],
            Json = $$$"""
                {"model_type":"TYPE",{{{Grouped}}},"head_dim":12,"rope_theta":1000000.0,"sliding_window":null,"use_sliding_window":false}
                """,
            Store = layer =>
            {
                _llama.Store(layer);
                layer.Norms();
            },
            Norms = true,
            Config = _grouped with { HeadSize = 12, NormEpsilon = 1e-5f },
            Rotary = new(1e6, 12),
        },
        ["Gemma 2, all tokens"] = _gemma2,
        ["Gemma 2, window"] = _gemma2 with
        {
            Prefix = "model.layers.2.self_attn.",
            Index = 2,
            Config = _gemma2.Config with { Window = new() { Left = 3 } },
        },
        ["Gemma 3, all tokens"] = _gemma3,
        ["Gemma 3, window"] = _gemma3 with
        {
            Prefix = "model.layers.2.self_attn.",
            Index = 2,
            Config = _gemma3.Config with { Window = new() { Left = 3 } },
            Rotary = new(10_000.0, 12),
        },
        ["gpt-oss, all tokens"] = _gptOss,
        ["gpt-oss, window"] = _gptOss with
        {
            Prefix = "model.layers.2.self_attn.",
            Index = 2,
            Config = _gptOss.Config with { Window = new() { Left = 3 } },
        },
        ["GPT-2, scale by layer"] = _gpt2 with
        {
            Json = _gpt2.Json.Replace("layer_idx\":false", "layer_idx\":true", StringComparison.Ordinal),
            Config = _gpt2.Config with { Scale = (float)(1.0 / Math.Sqrt(8.0) / 3.0) },
        },
        ["Granite"] = _llama with
        {
            Types = ["granite"],
            Json = $$$"""{"model_type":"TYPE",{{{Grouped}}},"rope_theta":10000.0,"attention_multiplier":0.2}""",
            Config = _grouped with { Scale = 0.2f },
        },
        ["StableLM"] = _llama with
        {
            Types = ["stablelm"],
            Json = $$$"""
                {"model_type":"TYPE",{{{Grouped}}},"rope_theta":10000,"partial_rotary_factor":0.5,"qk_layernorm":false,"use_qkv_bias":true}
                """,
            InputBiases = true,
            Rotary = new(10_000.0, 4),
        },
        ["Phi-3"] = _llama with
        {
            Types = ["phi3"],
            Json = $$$"""{"model_type":"TYPE",{{{Grouped}}},"rope_theta":10000.0,"rope_scaling":null,"sliding_window":4}""",
            Store = layer =>
            {
                layer.Stacked("qkv_proj");
                layer.Output("o_proj");
            },
            Config = _grouped with { Window = new() { Left = 3 } },
        },
    };

    /// <summary>The models by the name of a case.</summary>
    public static IReadOnlyDictionary<string, PublishedModel> All { get; } =
        _plain.Concat(PublishedPartModels.All).Concat(PublishedBiasModels.All).Concat(PublishedScaledModels.All).ToDictionary();

    private static Tensor<float> CausalMask(int length)
    {
        Tensor<float> mask = Tensor.CreateFromShape<float>([1, 1, length, length]);
        for (int query = 0; query < length; query++)
        {
            for (int key = 0; key <= query; key++)
                mask[0, 0, query, key] = 1f;
        }

        return mask;
    }
}
