using System.Numerics.Tensors;

namespace AttentionGpu.Tests.Models;

/// <summary>Models whose scores have a bias by distance.</summary>
internal static class PublishedBiasModels
{
    private const string Json = """
        {"model_type":"TYPE","d_model":32,"d_kv":6,"num_heads":4,"num_layers":2,"relative_attention_num_buckets":8,
         "relative_attention_max_distance":7,"dropout_rate":0.1,"feed_forward_proj":"relu","is_encoder_decoder":true}
        """;

    private static readonly BucketDefinition _toBothSides = new(8, 7, BothSides: true);

    private static readonly PublishedModel _encoder = new()
    {
        Types = ["t5", "mt5"],
        Json = Json,
        Prefix = "encoder.block.1.layer.0.SelfAttention.",
        Index = 1,
        Stack = ModelStack.Encoder,
        IsCausal = false,
        Store = layer =>
        {
            layer.Separate("q", "k", "v", "o");
            layer.RelativeBias("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        },
        Config = new() { EmbeddingSize = 32, Heads = 4, HeadSize = 6, Scale = 1f },
        Buckets = _toBothSides,
    };

    private static readonly PublishedModel _decoder = _encoder with
    {
        Prefix = "decoder.block.1.layer.0.SelfAttention.",
        Stack = ModelStack.Decoder,
        IsCausal = true,
        Store = layer =>
        {
            layer.Separate("q", "k", "v", "o");
            layer.RelativeBias("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        },
        Buckets = new(8, 7, BothSides: false),
    };

    private static readonly PublishedModel _mpt = new()
    {
        Types = ["mpt"],
        Json = """
            {"model_type":"TYPE","d_model":32,"n_heads":4,"n_layers":2,"no_bias":true,"learned_pos_emb":true,"attn_config":{"model_type":"",
             "alibi":true,"alibi_bias_max":8,"attn_impl":"torch","attn_pdrop":0,"attn_type":"multihead_attention",
             "attn_uses_sequence_id":false,"clip_qkv":null,"prefix_lm":false,"qk_ln":false,"softmax_scale":null}}
            """,
        Prefix = "transformer.blocks.1.attn.",
        Index = 1,
        Store = layer =>
        {
            layer.Stacked("Wqkv");
            layer.Output("out_proj");
        },

        // 2^(-8 i / 4).
        Slopes = [0.25f, 0.0625f, 0.015625f, 0.00390625f],
    };

    /// <summary>The models by the name of a case.</summary>
    public static IReadOnlyDictionary<string, PublishedModel> All { get; } = new Dictionary<string, PublishedModel>
    {
        ["T5, encoder"] = _encoder,
        ["T5, first layer"] = _encoder with { Prefix = "encoder.block.0.layer.0.SelfAttention.", Index = 0 },
        ["T5, decoder"] = _decoder,
        ["T5, cross-attention"] = _decoder with
        {
            Prefix = "decoder.block.0.layer.1.EncDecAttention.",
            Index = 0,
            IsCross = true,
            IsCausal = false,
            Store = layer =>
            {
                layer.Separate("q", "k", "v", "o");

                // The first models' files have it, and no model reads it.
                layer.Add("relative_attention_bias.weight", Tensor.CreateFromShape<float>([8, 4]));
            },
            Buckets = null,
        },
        ["T5, largest distance left out"] = _encoder with
        {
            Json = Json.Replace("\"relative_attention_max_distance\":7,", "", StringComparison.Ordinal),
            Buckets = new(8, 128, BothSides: true),
        },
        ["UMT5"] = _encoder with
        {
            Types = ["umt5"],
            Store = layer =>
            {
                layer.Separate("q", "k", "v", "o");
                layer.RelativeBias("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight");
            },
        },
        ["MPNet"] = _encoder with
        {
            Types = ["mpnet"],
            Json = $$$"""{"model_type":"TYPE",{{{PublishedModels.Sizes}}},"attention_probs_dropout_prob":0.1,"relative_attention_num_buckets":32}""",
            Prefix = "mpnet.encoder.layer.1.attention.",
            Store = layer =>
            {
                layer.Separate("attn.q", "attn.k", "attn.v", "attn.o");
                layer.Add("LayerNorm.weight", Tensor.CreateFromShape<float>([32]));
                layer.Add("LayerNorm.bias", Tensor.CreateFromShape<float>([32]));
                layer.RelativeBias("mpnet.encoder.relative_attention_bias.weight");
            },
            Config = new() { EmbeddingSize = 32, Heads = 4 },
            InputBiases = true,
            OutputBias = true,
            Buckets = new(32, 128, BothSides: true),
        },
        ["MPT"] = _mpt,
        ["MPT, grouped, 6 heads"] = _mpt with
        {
            Json = """
                {"model_type":"TYPE","d_model":48,"n_heads":6,"attn_config":{"alibi":true,"alibi_bias_max":4,"kv_n_heads":2,
                 "softmax_scale":0.3}}
                """,
            Config = new() { EmbeddingSize = 48, Heads = 6, KeyValueHeads = 2, Scale = 0.3f },

            // build_mpt_alibi_tensor: 2^(-4 i / 8) of i = 2, 4, 6, 8, then 1, 3.
            Slopes = [0.5f, 0.25f, 0.125f, 0.0625f, 0.70710678f, 0.35355339f],
        },
    };
}
