namespace AttentionGpu.Tests.Models;

/// <summary>Models that are made of others, and those that are parts of them.</summary>
internal static class PublishedPartModels
{
    private static readonly PublishedModel _clip = new()
    {
        Types = ["clip"],
        Json = """
            {"model_type":"TYPE","projection_dim":16,"text_config":{"model_type":"clip_text_model","num_attention_heads":8},
             "vision_config":{"model_type":"clip_vision_model","num_attention_heads":4,"attention_dropout":0.0},"text_config_dict":null}
            """,
        Prefix = "text_model.encoder.layers.0.self_attn.",
        Index = 0,
        Stack = ModelStack.Text,
        Store = PublishedModels.Decoder.Store,
        Config = PublishedModels.Decoder.Config,
        InputBiases = true,
        OutputBias = true,
    };

    private static readonly PublishedModel _samDecoder = new()
    {
        Types = ["sam"],
        Json = """
            {"model_type":"TYPE","mask_decoder_config":{"model_type":"","hidden_size":32,"attention_downsample_rate":2,"iou_head_depth":3,
             "iou_head_hidden_dim":16,"num_attention_heads":4,"num_hidden_layers":2},"prompt_encoder_config":{"hidden_size":32},
             "vision_config":{"model_type":"","num_attention_heads":2,"use_rel_pos":true,"window_size":14}}
            """,
        Prefix = "mask_decoder.transformer.layers.1.self_attn.",
        Index = 1,
        IsCausal = false,
        Store = PublishedModels.Decoder.Store,
        InputBiases = true,
        OutputBias = true,
    };

    private static readonly PublishedModel _samCross = _samDecoder with
    {
        Prefix = "mask_decoder.transformer.layers.1.cross_attn_token_to_image.",
        IsCross = true,
        Config = new() { EmbeddingSize = 32, Heads = 4, HeadSize = 4 },
    };

    private const string Gemma3Text = PublishedModels.Grouped
        + ",\"head_dim\":12,\"rope_theta\":1000000,\"rope_local_base_freq\":10000.0,\"sliding_window\":4,\"query_pre_attn_scalar\":20";

    private static readonly PublishedModel _gemma3 = PublishedModels.Gemma3 with
    {
        Types = ["gemma3"],
        Json = $$$"""
            {"model_type":"TYPE","text_config":{"model_type":"gemma3_text",{{{Gemma3Text}}},"sliding_window_pattern":4,
             "rope_scaling":{"factor":8.0,"rope_type":"linear"}},
             "vision_config":{"model_type":"siglip_vision_model",{{{PublishedModels.Sizes}}}
             },"mm_tokens_per_image":256}
            """,
        Prefix = "language_model.model.layers.3.self_attn.",
    };

    private static readonly PublishedModel _llava = PublishedModels.Llama with
    {
        Types = ["llava"],
        Json = $$$"""
            {"model_type":"TYPE","text_config":{"model_type":"llama",{{{PublishedModels.Grouped}}}
             },
             "vision_config":{"model_type":"clip_vision_model",{{{PublishedModels.Sizes}}}
             },"vision_feature_layer":-2}
            """,
        Prefix = "language_model.model.layers.3.self_attn.",
    };

    /// <summary>The models by the name of a case.</summary>
    public static IReadOnlyDictionary<string, PublishedModel> All { get; } = new Dictionary<string, PublishedModel>
    {
        ["CLIP, text"] = _clip,
        ["CLIP, images"] = _clip with
        {
            Prefix = "vision_model.encoder.layers.0.self_attn.",
            Stack = ModelStack.Vision,
            IsCausal = false,
            Config = new() { EmbeddingSize = 32, Heads = 4 },
        },
        ["CLIP's text model"] = _clip with
        {
            Types = ["clip_text_model"],
            Json = """{"model_type":"TYPE","num_attention_heads":8,"attention_dropout":0.0}""",
        },
        ["CLIP's image model"] = _clip with
        {
            Types = ["clip_vision_model"],
            Json = """{"model_type":"TYPE","num_attention_heads":8,"attention_dropout":0.0}""",
            Prefix = "vision_model.encoder.layers.0.self_attn.",
            Stack = ModelStack.Vision,
            IsCausal = false,
        },
        ["SigLIP, text"] = _clip with
        {
            Types = ["siglip"],
            Json = """
                {"model_type":"TYPE","text_config":{"model_type":"siglip_text_model","num_attention_heads":8},
                 "vision_config":{"model_type":"siglip_vision_model","num_attention_heads":4}}
                """,
            IsCausal = false,
        },
        ["SigLIP's models"] = _clip with
        {
            Types = ["siglip_text_model"],
            Json = """{"model_type":"TYPE","num_attention_heads":8,"attention_dropout":0.0}""",
            IsCausal = false,
        },
        ["SigLIP's image model, heads left out"] = _clip with
        {
            Types = ["siglip_vision_model"],
            Json = """{"model_type":"TYPE","attention_dropout":0.0}""",
            Prefix = "vision_model.encoder.layers.0.self_attn.",
            Stack = ModelStack.Vision,
            IsCausal = false,
            Config = new() { EmbeddingSize = 48, Heads = 12 },
        },
        ["Gemma 3 with images, text"] = _gemma3,
        ["Gemma 3 with images, images"] = _clip with
        {
            Types = _gemma3.Types,
            Json = _gemma3.Json,
            Prefix = "vision_tower.vision_model.encoder.layers.0.self_attn.",
            Stack = ModelStack.Vision,
            IsCausal = false,
            Config = new() { EmbeddingSize = 32, Heads = 4 },
        },
        ["Gemma 3 with images, numbers by kind of layer"] = _gemma3 with
        {
            Json = $$$"""
                {"model_type":"TYPE","text_config":{"model_type":"gemma3_text",{{{PublishedModels.Grouped}}},"head_dim":12,"sliding_window":4,
                 "query_pre_attn_scalar":20,"layer_types":["full_attention","sliding_attention","sliding_attention","full_attention"],
                 "rope_parameters":{"full_attention":{"rope_type":"linear","factor":8.0,"rope_theta":1000000.0},
                 "sliding_attention":{"rope_type":"default","rope_theta":20000.0}
                 }},
                 "vision_config":{"model_type":"siglip_vision_model",{{{PublishedModels.Sizes}}}
                 }}
                """,
            Prefix = "model.language_model.layers.2.self_attn.",
            Index = 2,
            Config = PublishedModels.Gemma3.Config with { Window = new() { Left = 3 } },
            Rotary = new(20_000.0, 12),
        },
        ["LLaVA, text"] = _llava,
        ["LLaVA, text, heads left out"] = _llava with
        {
            Json = $$$"""
                {"model_type":"TYPE","text_config":{"model_type":"llama","rms_norm_eps":1e-05},
                 "vision_config":{"model_type":"clip_vision_model",{{{PublishedModels.Sizes}}}
                 }}
                """,
            Config = new() { EmbeddingSize = 64, Heads = 32 },
            Rotary = new(10_000.0, 2),
        },
        ["LLaVA, images"] = _clip with
        {
            Types = _llava.Types,
            Json = _llava.Json,
            Prefix = "vision_tower.vision_model.encoder.layers.0.self_attn.",
            Stack = ModelStack.Vision,
            IsCausal = false,
            Config = new() { EmbeddingSize = 32, Heads = 4 },
        },
        ["SAM, mask decoder"] = _samDecoder,
        ["SAM, tokens to image"] = _samCross,
        ["SAM, image to tokens"] = _samCross with { Prefix = "mask_decoder.transformer.layers.1.cross_attn_image_to_token." },
        ["SAM's mask decoder"] = _samDecoder with
        {
            Types = ["sam_mask_decoder"],
            Json = """{"model_type":"TYPE","hidden_size":32,"num_attention_heads":4,"attention_downsample_rate":2}""",
        },
        ["SAM, last tokens to image"] = _samCross with { Prefix = "mask_decoder.transformer.final_attn_token_to_image.", Index = 0 },
    };
}
