namespace AttentionGpu.Layers;

/// <summary>
/// The one table of architectures: a family is one entry, by the <c>model_type</c> of its <c>config.json</c>. <c>docs/models.md</c> is made
/// from it.
/// </summary>
internal static class ModelFamilies
{
    // The mask decoder of SAM, whose configuration is a part of the model's and names no type.
    private const string SamMaskDecoder = "sam_mask_decoder";

    private const string DefaultDistance = """{"relative_attention_max_distance":128}""";

    private const string TwelveHeads = """{"num_attention_heads":12}""";

    private static readonly ProjectionNames _outProj = new();
    private static readonly ProjectionNames _oProj = new() { Output = "o_proj" };

    private static readonly ProjectionNames _bertNames = new()
    {
        Query = "self.query",
        Key = "self.key",
        Value = "self.value",
        Output = "output.dense",
        Others = ["output.LayerNorm.weight", "output.LayerNorm.bias", "output.LayerNorm.gamma", "output.LayerNorm.beta"],
    };

    private static readonly ProjectionNames _vitNames =
        new() { Query = "attention.query", Key = "attention.key", Value = "attention.value", Output = "output.dense" };

    private static readonly ProjectionNames _grouped = new() { Joined = "query_key_value", Order = JoinedOrder.Grouped, Output = "dense" };

    // Causal decoders with the names of Llama.
    private static readonly LayerPlace _decoder = new(ModelStack.Decoder, "layers", "self_attn", _oProj) { IsCausal = true };

    private static readonly LayerPlace[] _encoderAndDecoder =
    [
        new(ModelStack.Encoder, "encoder.layers", "self_attn", _outProj) { Heads = ["encoder_attention_heads"] },
        new(ModelStack.Decoder, "decoder.layers", "self_attn", _outProj) { Heads = ["decoder_attention_heads"], IsCausal = true },
        new(ModelStack.Decoder, "decoder.layers", "encoder_attn", _outProj) { Heads = ["decoder_attention_heads"], IsCross = true },
    ];

    private static readonly LayerPlace _clipText =
        new(ModelStack.Text, "text_model.encoder.layers", "self_attn", _outProj) { IsCausal = true };

    private static readonly LayerPlace _clipVision = new(ModelStack.Vision, "vision_model.encoder.layers", "self_attn", _outProj);

    private static readonly ModelFamily _plain = new() { Places = [_decoder] };
    private static readonly ModelFamily _windowed = _plain with { Window = WindowedLayers.All };
    private static readonly ModelFamily _qwen2 = _plain with { Window = WindowedLayers.FromMaxWindowLayers };
    private static readonly ModelFamily _qwen3 = _qwen2 with { Norms = StoredNorms.Plain };

    // Models with experts place windows otherwise than Qwen2 does; no published one has them.
    private static readonly string[] _windows = ["use_sliding_window"];
    private static readonly string[] _windowMembers = ["sliding_window", "max_window_layers"];

    private static readonly ModelFamily _withoutRotary = new() { HasRotary = false };
    private static readonly ModelFamily _seq2Seq = _withoutRotary with { Places = _encoderAndDecoder };

    // Layers of a decoder would be causal.
    private static readonly ModelFamily _bert = _withoutRotary with
    {
        Places = [new(ModelStack.Encoder, "encoder.layer", "attention", _bertNames)],
        MustBeOff = ["is_decoder"],
    };

    private static readonly ModelFamily _vit = _withoutRotary with
    {
        Places = [new(ModelStack.Encoder, "encoder.layer", "attention", _vitNames)],
    };

    private static readonly ProjectionNames _t5Names = new()
    {
        Query = "q",
        Key = "k",
        Value = "v",
        Output = "o",
    };

    // Cross-attention of the first models' files has a table that no model reads.
    private static readonly ProjectionNames _t5CrossNames = _t5Names with { Others = ["relative_attention_bias.weight"] };

    private static readonly ModelFamily _t5 = T5("0");
    private static readonly ProjectionNames _mpnetNames = _t5Names with
    {
        Query = "attn.q",
        Key = "attn.k",
        Value = "attn.v",
        Output = "attn.o",
        Others = ["LayerNorm.weight", "LayerNorm.bias"],
    };

    private static readonly ModelFamily _latent =
        new() { Refusal = "keys and values are made from a latent row (MLA), which a layer cannot do" };

    private static readonly SortedDictionary<string, ModelFamily> _all = new(StringComparer.Ordinal)
    {
        ["bart"] = _seq2Seq,
        ["bert"] = _bert,
        ["blenderbot"] = _seq2Seq,
        ["blenderbot-small"] = _seq2Seq,
        ["bloom"] = new()
        {
            Places =
            [
                new(ModelStack.Decoder, "h", "self_attention", _grouped) { IsCausal = true, Heads = ["n_head", "num_attention_heads"] },
            ],
            HasRotary = false,
            Alibi = AlibiKind.Bloom,
            WithoutInfluence = ["offset_alibi"],
        },
        ["camembert"] = _bert,
        ["clip"] = new() { Parts = [new("text_config", "clip_text_model"), new("vision_config", "clip_vision_model")] },
        ["clip_text_model"] = _withoutRotary with { Places = [_clipText], Defaults = """{"num_attention_heads":8}""" },
        ["clip_vision_model"] = _withoutRotary with { Places = [_clipVision], Defaults = TwelveHeads },
        ["deepseek_v2"] = _latent,
        ["deepseek_v3"] = _latent,
        ["deit"] = _vit,
        ["dinov2"] = _vit,
        ["distilbert"] = _withoutRotary with
        {
            Places =
            [
                new(
                    ModelStack.Encoder, "transformer.layer", "attention",
                    new() { Query = "q_lin", Key = "k_lin", Value = "v_lin", Output = "out_lin" }) { Heads = ["n_heads"] },
            ],
        },
        ["electra"] = _bert,
        ["falcon"] = new()
        {
            Places = [new(ModelStack.Decoder, "h", "self_attention", _grouped) { IsCausal = true }],
            DefaultBase = 10_000.0,
            HasMultiQueryFlag = true,
            WithoutInfluence = ["parallel_attn", "num_ln_in_parallel_attn"],
        },
        ["gemma"] = _plain,
        ["gemma2"] = _plain with
        {
            Window = WindowedLayers.EverySecond,
            ScaleSource = "query_pre_attn_scalar",
            Softcap = "attn_logit_softcapping",
            Defaults = """{"attn_logit_softcapping":50.0}""",
        },
        ["gemma3"] = new()
        {
            Parts = [new("text_config", "gemma3_text", "language_model"), new("vision_config", "siglip_vision_model", "vision_tower")],
        },
        ["gemma3_text"] = _plain with
        {
            Window = WindowedLayers.AllButLastOfPattern,
            WindowBase = "rope_local_base_freq",
            Norms = StoredNorms.LessOne,
            ScaleSource = "query_pre_attn_scalar",
            DefaultBase = 1_000_000.0,
            Defaults = """
                {"num_attention_heads":8,"num_key_value_heads":4,"head_dim":256,"query_pre_attn_scalar":256,
                 "rope_local_base_freq":10000.0,"sliding_window":4096,"sliding_window_pattern":6,"rms_norm_eps":1e-6}
                """,
        },
        ["gpt2"] = _withoutRotary with
        {
            Places =
            [
                new(ModelStack.Decoder, "h", "attn", new() { Joined = "c_attn", Output = "c_proj", IsTransposed = true })
                {
                    IsCausal = true,
                    Heads = ["n_head"],
                },
            ],
            ScaleByLayer = "scale_attn_by_inverse_layer_idx",
        },
        ["gpt_neox"] = new()
        {
            Places = [new(ModelStack.Decoder, "layers", "attention", _grouped) { IsCausal = true }],
            Base = "rotary_emb_base",
            RotaryPart = "rotary_pct",
        },
        ["gpt_oss"] = _plain with { Window = WindowedLayers.EverySecond, HasSinks = true, NeedsScaling = true },
        ["gptj"] = new()
        {
            Places = [new(ModelStack.Decoder, "h", "attn", _outProj) { IsCausal = true, Heads = ["n_head"] }],
            IsInterleaved = true,
            DefaultBase = 10_000.0,
            RotarySize = "rotary_dim",
        },
        ["granite"] = _plain with { Scale = "attention_multiplier", Defaults = """{"attention_multiplier":1.0}""" },
        ["llama"] = _plain with { DefaultBase = 10_000.0 },
        ["llava"] = new()
        {
            Parts =
            [
                new("text_config", "llama", "language_model") { Defaults = """{"num_attention_heads":32}""" },
                new("vision_config", "clip_vision_model", "vision_tower"),
            ],
        },
        ["m2m_100"] = _seq2Seq,
        ["marian"] = _seq2Seq,
        ["mbart"] = _seq2Seq,
        ["mistral"] = _windowed,
        ["mixtral"] = _windowed,
        ["modernbert"] = new()
        {
            Places = [new(ModelStack.Encoder, "layers", "attn", new() { Joined = "Wqkv", Output = "Wo" })],
            Window = WindowedLayers.AllButFirstToBothSides,
            Base = "global_rope_theta",
            WindowBase = "local_rope_theta",
        },
        ["mpnet"] = _withoutRotary with
        {
            Places =
            [
                new(ModelStack.Encoder, "encoder.layer", "attention", _mpnetNames)
                {
                    RelativeBias = "encoder.relative_attention_bias.weight",
                },
            ],
            Defaults = DefaultDistance,
        },
        ["mpt"] = new()
        {
            Places =
            [
                new(ModelStack.Decoder, "blocks", "attn", new() { Joined = "Wqkv" })
                {
                    IsCausal = true,
                    Heads = ["n_heads"],
                    KeyValueHeads = "kv_n_heads",
                },
            ],
            HasRotary = false,
            Alibi = AlibiKind.Mpt,
            Nested = "attn_config",
            Scale = "softmax_scale",
            Defaults = """{"alibi":true,"alibi_bias_max":8}""",
            MustBe = [("alibi", "true"), ("attn_type", "\"multihead_attention\"")],
            MustBeOff = ["prefix_lm"],
            WithoutInfluence = ["attn_impl", "attn_pdrop"],
        },
        ["mt5"] = _t5,
        ["olmo"] = _plain,
        ["opt"] = _withoutRotary with
        {
            Places = [new(ModelStack.Decoder, "decoder.layers", "self_attn", _outProj) { IsCausal = true }],
        },
        ["pegasus"] = _seq2Seq,
        ["phi3"] = _windowed with
        {
            Places = [_decoder with { Names = new() { Joined = "qkv_proj", Output = "o_proj" } }],
        },
        ["qwen2"] = _qwen2,
        ["qwen2_moe"] = _plain with { MustBeOff = _windows, WithoutInfluence = _windowMembers },
        ["qwen3"] = _qwen3,
        ["qwen3_moe"] = _plain with { Norms = StoredNorms.Plain, MustBeOff = _windows, WithoutInfluence = _windowMembers },
        ["roberta"] = _bert,
        ["sam"] = new()
        {
            Parts =
            [
                new("mask_decoder_config", SamMaskDecoder),
                new("vision_config", "sam_vision_model")
                {
                    Refusal = "scores of the image encoder have a bias that depends on the query, which a layer cannot have",
                },
            ],
        },
        [SamMaskDecoder] = _withoutRotary with
        {
            Places =
            [
                new(ModelStack.Decoder, "transformer.layers", "self_attn", _outProj) { Root = "mask_decoder" },
                new(ModelStack.Decoder, "transformer.layers", "cross_attn_token_to_image", _outProj)
                {
                    Root = "mask_decoder",
                    IsCross = true,
                },
                new(ModelStack.Decoder, "transformer.layers", "cross_attn_image_to_token", _outProj)
                {
                    Root = "mask_decoder",
                    IsCross = true,
                },
                new(ModelStack.Decoder, "transformer", "final_attn_token_to_image", _outProj)
                {
                    Root = "mask_decoder",
                    IsCross = true,
                    IsSingle = true,
                },
            ],
            Defaults = """{"num_attention_heads":8}""",
            WithoutInfluence = ["attention_downsample_rate", "iou_head_depth", "iou_head_hidden_dim"],
        },
        ["siglip"] = new() { Parts = [new("text_config", "siglip_text_model"), new("vision_config", "siglip_vision_model")] },
        ["siglip_text_model"] = _withoutRotary with { Places = [_clipText with { IsCausal = false }], Defaults = TwelveHeads },
        ["siglip_vision_model"] = _withoutRotary with { Places = [_clipVision], Defaults = TwelveHeads },
        ["stablelm"] = _plain with { RotaryPart = "partial_rotary_factor" },
        ["starcoder2"] = _windowed,
        ["t5"] = _t5,
        [TimmArchitecture.ModelType] = _withoutRotary with
        {
            Places = [new(ModelStack.Encoder, "blocks", "attn", new() { Joined = "qkv", Output = "proj" })],
            Nested = "model_args",
        },
        ["umt5"] = T5("N"),
        ["vit"] = _vit,
        ["whisper"] = _seq2Seq,
        ["xlm-roberta"] = _bert,
    };

    /// <summary>The families by type, in the order of their names.</summary>
    public static IReadOnlyDictionary<string, ModelFamily> All => _all;

    /// <summary>The family of a <c>model_type</c>; null where it is not known.</summary>
    public static ModelFamily? Find(string modelType) => _all.GetValueOrDefault(modelType);

    /// <summary>The types whose layers can be computed, for messages.</summary>
    public static string Names => string.Join(", ", _all.Where(entry => entry.Value.Refusal is null).Select(entry => entry.Key));

    // T5 and its like: a table of relative bias in the first layer of a stack (0) or in each (N).
    private static ModelFamily T5(string layer) => new()
    {
        Places =
        [
            new(ModelStack.Encoder, "encoder.block", "layer.0.SelfAttention", _t5Names)
            {
                Heads = ["num_heads"],
                RelativeBias = $"encoder.block.{layer}.layer.0.SelfAttention.relative_attention_bias.weight",
            },
            new(ModelStack.Decoder, "decoder.block", "layer.0.SelfAttention", _t5Names)
            {
                Heads = ["num_heads"],
                IsCausal = true,
                RelativeBias = $"decoder.block.{layer}.layer.0.SelfAttention.relative_attention_bias.weight",
            },
            new(ModelStack.Decoder, "decoder.block", "layer.1.EncDecAttention", _t5CrossNames) { Heads = ["num_heads"], IsCross = true },
        ],
        HasRotary = false,
        FixedScale = 1f,
        HeadSize = "d_kv",
        Defaults = DefaultDistance,
    };
}
