namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>Encoders of text and pictures whose projections are matrices of their own, without a position in attention.</summary>
internal static class EncoderFamilies
{
    private const int Size = 24;

    /// <summary>
    /// <c>google-bert/bert-base-uncased</c>, whose norms still have TensorFlow's names. Source: transformers,
    /// <c>models/bert/modeling_bert.py</c>, <c>BertSelfAttention</c> and <c>BertSelfOutput.dense</c>.
    /// </summary>
    public static FamilyDefinition Bert() => BertType("bert", "bert.", ("gamma", "beta"), """
        "architectures": ["BertForMaskedLM"], "gradient_checkpointing": false, "model_type": "bert", "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512, "pad_token_id": 0, "position_embedding_type": "absolute", "transformers_version": "4.6.0.dev0",
        "type_vocab_size": 2, "use_cache": true, "vocab_size": 30522
        """);

    /// <summary>
    /// <c>sentence-transformers/all-MiniLM-L6-v2</c>: BERT without the model's name before a tensor's, and with stored positions.
    /// Source: as <see cref="Bert"/>.
    /// </summary>
    public static FamilyDefinition MiniLm() => BertType("bert (MiniLM)", "", ("weight", "bias"), """
        "_name_or_path": "nreimers/MiniLM-L6-H384-uncased", "architectures": ["BertModel"], "gradient_checkpointing": false,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "pad_token_id": 0,
        "position_embedding_type": "absolute", "transformers_version": "4.8.2", "type_vocab_size": 2, "use_cache": true, "vocab_size": 30522
        """);

    /// <summary>
    /// <c>google-bert/bert-base-multilingual-cased</c>, whose file speaks of a pooler that transformers does not have. Source: as
    /// <see cref="Bert"/>.
    /// </summary>
    public static FamilyDefinition MultilingualBert() => BertType("bert (multilingual)", "bert.", ("gamma", "beta"), """
        "architectures": ["BertForMaskedLM"], "directionality": "bidi", "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
        "model_type": "bert", "pad_token_id": 0, "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3,
        "pooler_size_per_head": 128, "pooler_type": "first_token_transform", "position_embedding_type": "absolute",
        "transformers_version": "4.7.0.dev0", "type_vocab_size": 2, "use_cache": true, "vocab_size": 119547
        """);

    /// <summary>
    /// <c>FacebookAI/roberta-base</c>. Source: transformers, <c>models/roberta/modeling_roberta.py</c>, <c>RobertaSelfAttention</c>.
    /// </summary>
    public static FamilyDefinition Roberta() => BertType("roberta", "roberta.", ("weight", "bias"), """
        "architectures": ["RobertaForMaskedLM"], "bos_token_id": 0, "eos_token_id": 2, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1, "type_vocab_size": 1, "vocab_size": 50265
        """);

    /// <summary>
    /// <c>FacebookAI/xlm-roberta-base</c>. Source: transformers, <c>models/xlm_roberta/modeling_xlm_roberta.py</c>,
    /// <c>XLMRobertaSelfAttention</c>.
    /// </summary>
    public static FamilyDefinition XlmRoberta() => BertType("xlm-roberta", "roberta.", ("weight", "bias"), """
        "architectures": ["XLMRobertaForMaskedLM"], "bos_token_id": 0, "eos_token_id": 2, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 514, "model_type": "xlm-roberta", "output_past": true, "pad_token_id": 1,
        "position_embedding_type": "absolute", "transformers_version": "4.17.0.dev0", "type_vocab_size": 1, "use_cache": true,
        "vocab_size": 250002
        """);

    /// <summary><c>almanach/camembert-base</c>. Source: transformers, <c>models/camembert/modeling_camembert.py</c>.</summary>
    public static FamilyDefinition Camembert() => BertType("camembert", "roberta.", ("weight", "bias"), """
        "architectures": ["CamembertForMaskedLM"], "bos_token_id": 5, "eos_token_id": 6, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 514, "model_type": "camembert", "output_past": true, "pad_token_id": 1, "type_vocab_size": 1,
        "vocab_size": 32005
        """);

    /// <summary>
    /// <c>google/electra-small-discriminator</c>. Source: transformers, <c>models/electra/modeling_electra.py</c>,
    /// <c>ElectraSelfAttention</c>.
    /// </summary>
    public static FamilyDefinition Electra() => BertType("electra", "electra.", ("weight", "bias"), """
        "architectures": ["ElectraForPreTraining"], "embedding_size": 128, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
        "model_type": "electra", "pad_token_id": 0, "position_embedding_type": "absolute", "summary_activation": "gelu",
        "summary_last_dropout": 0.1, "summary_type": "first", "summary_use_proj": true, "transformers_version": "4.4.0.dev0",
        "type_vocab_size": 2, "use_cache": true, "vocab_size": 30522
        """);

    /// <summary>
    /// <c>distilbert/distilbert-base-uncased</c>. Source: transformers, <c>models/distilbert/modeling_distilbert.py</c>,
    /// <c>MultiHeadSelfAttention</c>, which divides the queries by the root of the head's size before the product.
    /// </summary>
    public static FamilyDefinition DistilBert() => new("distilbert", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "activation": "gelu", "architectures": ["DistilBertForMaskedLM"], "attention_dropout": 0.1, "dim": 24, "dropout": 0.1,
            "hidden_dim": 48, "initializer_range": 0.02, "max_position_embeddings": 512, "model_type": "distilbert", "n_heads": 4,
            "n_layers": 2, "pad_token_id": 0, "qa_dropout": 0.1, "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": false,
            "tie_weights_": true, "transformers_version": "4.10.0.dev0", "vocab_size": 30522 }
            """, random);
        for (int n = 0; n < 2; n++)
        {
            string layer = $"distilbert.transformer.layer.{n}.";
            foreach (string name in (string[])["q_lin", "k_lin", "v_lin", "out_lin"])
                checkpoint.AddLinear(layer + "attention." + name, Size, Size, bias: true);
            checkpoint.AddNorm(layer + "sa_layer_norm.weight", Size).AddLinear(layer + "ffn.lin1", 48, Size, bias: true);
        }

        return checkpoint;
    }, [new("distilbert.transformer.layer.1.attention", 1, ModelStack.Encoder)],
        (checkpoint, layer, rows) => Plain(checkpoint, rows, checkpoint.Int("n_heads"), "q_lin", "k_lin", "v_lin", "out_lin", layer.Prefix))
    { Size = Size };

    /// <summary>
    /// <c>google/vit-base-patch16-224</c>. Source: transformers, <c>models/vit/modeling_vit.py</c>, <c>ViTSelfAttention</c> and
    /// <c>ViTSelfOutput</c>.
    /// </summary>
    public static FamilyDefinition Vit() => VitType("vit", "vit.", """
        "_name_or_path": "google/vit-base-patch16-224-in21k", "architectures": ["ViTForImageClassification"], "encoder_stride": 16,
        "id2label": { "0": "tench, Tinca tinca" }, "image_size": 224, "intermediate_size": 48,
        "label2id": { "tench, Tinca tinca": 0 }, "layer_norm_eps": 1e-12, "model_type": "vit", "num_channels": 3, "patch_size": 16,
        "qkv_bias": true, "torch_dtype": "float32", "transformers_version": "4.13.0.dev0"
        """);

    /// <summary><c>facebook/deit-base-patch16-224</c>. Source: transformers, <c>models/deit/modeling_deit.py</c>.</summary>
    public static FamilyDefinition Deit() => VitType("deit", "deit.", """
        "architectures": ["DeiTForImageClassification"], "encoder_stride": 16, "image_size": 224, "intermediate_size": 48,
        "layer_norm_eps": 1e-12, "model_type": "deit", "num_channels": 3, "patch_size": 16, "qkv_bias": true, "torch_dtype": "float32",
        "transformers_version": "4.22.0.dev0"
        """);

    /// <summary>
    /// <c>facebook/dinov2-base</c>, with a scale of each layer's output behind attention. Source: transformers,
    /// <c>models/dinov2/modeling_dinov2.py</c>, <c>Dinov2SelfAttention</c>.
    /// </summary>
    public static FamilyDefinition Dinov2() => VitType("dinov2", "", """
        "apply_layernorm": true, "architectures": ["Dinov2Model"], "drop_path_rate": 0.0, "image_size": 518, "layer_norm_eps": 1e-06,
        "layerscale_value": 1.0, "mlp_ratio": 4, "model_type": "dinov2", "num_channels": 3, "out_features": ["stage2"], "out_indices": [2],
        "patch_size": 14, "qkv_bias": true, "reshape_hidden_states": true, "stage_names": ["stem", "stage1", "stage2"],
        "torch_dtype": "float32", "transformers_version": "4.32.0.dev0", "use_swiglu_ffn": false
        """);

    /// <summary>
    /// A timm checkpoint on the Hub (<c>timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k</c>): its configuration names the function that
    /// makes
    /// the model, which says that heads are 64 wide. Source: pytorch-image-models, <c>timm/layers/attention.py</c>, <c>Attention</c>
    /// (commit
    /// 02bb6b3e3e423554c211eaa0c6b419461336f94e): rows of <c>qkv</c> are all queries, all keys, all values.
    /// </summary>
    public static FamilyDefinition TimmVit() => new("timm vit", random =>
    {
        const int size = 192;
        var checkpoint = new HubCheckpoint("""
            { "architecture": "vit_tiny_patch16_224", "num_classes": 1000, "num_features": 192, "global_pool": "token",
            "pretrained_cfg": { "tag": "augreg_in21k_ft_in1k", "custom_load": true, "input_size": [3, 224, 224], "fixed_input_size": true,
            "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
            "num_classes": 1000, "pool_size": null, "first_conv": "patch_embed.proj", "classifier": "head" } }
            """, random);
        for (int n = 0; n < 2; n++)
            checkpoint.AddNorm($"blocks.{n}.norm1.weight", size).AddLinear($"blocks.{n}.attn.qkv", 3 * size, size, bias: true)
                .AddLinear($"blocks.{n}.attn.proj", size, size, bias: true).AddLinear($"blocks.{n}.mlp.fc1", 4, size, bias: true);
        return checkpoint;
    }, [new("blocks.1.attn", 1, ModelStack.Encoder)], (checkpoint, layer, rows) =>
    {
        double[][] joined = checkpoint.Linear(layer.Prefix + ".qkv", rows.Query);
        int size = checkpoint.Int("num_features");
        double[][] mixed = Float64.Attend(
            Float64.Columns(joined, 0, size), Float64.Columns(joined, size, size), Float64.Columns(joined, 2 * size, size),
            size / 64, size / 64, Float64.Scaled(1.0 / Math.Sqrt(64.0), causal: false));
        return checkpoint.Linear(layer.Prefix + ".proj", mixed);
    })
    { Size = 192 };

    /// <summary>
    /// <c>answerdotai/ModernBERT-base</c>. Source: transformers, <c>models/modernbert/modeling_modernbert.py</c>,
    /// <c>ModernBertAttention</c>, <c>eager_attention_forward</c> (commit 000c33fdfde12e1ffafbfcdb3c926df5727a00b6) and
    /// <c>_update_attention_mask</c>: rows are all queries, all keys, all values; layers that <c>global_attn_every_n_layers</c> does not
    /// divide see keys at most half of <c>local_attention</c> away and have a base of their own.
    /// </summary>
    public static FamilyDefinition ModernBert() => ModernBertType("modernbert", """
        "global_rope_theta": 160000.0, "layer_norm_eps": 1e-05, "local_rope_theta": 10000.0, "repad_logits_with_grad": false,
        "torch_dtype": "float32", "transformers_version": "4.47.0.dev0"
        """);

    /// <summary>
    /// ModernBERT as transformers 5 writes it: bases by kind of layer, and the kinds. Source: as <see cref="ModernBert"/>.
    /// </summary>
    public static FamilyDefinition ModernBertOfTransformers5() => ModernBertType("modernbert (transformers 5)", """
        "dtype": "float32", "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
        "rope_parameters": { "full_attention": { "rope_theta": 160000.0, "rope_type": "default" },
        "sliding_attention": { "rope_theta": 10000.0, "rope_type": "default" } }, "transformers_version": "5.0.0"
        """);

    /// <summary>
    /// <c>openai/clip-vit-base-patch32</c>, whose text is causal. Source: transformers, <c>models/clip/modeling_clip.py</c>,
    /// <c>CLIPAttention</c> and <c>CLIPTextTransformer</c>.
    /// </summary>
    public static FamilyDefinition Clip() => new("clip", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "_commit_hash": null, "architectures": ["CLIPModel"], "initializer_factor": 1.0, "logit_scale_init_value": 2.6592,
            "model_type": "clip", "projection_dim": 512, "text_config": { "_name_or_path": "", "add_cross_attention": false,
            "architectures": null, "attention_dropout": 0.0, "bad_words_ids": null, "bos_token_id": 0, "cross_attention_hidden_size": null,
            "decoder_start_token_id": null, "diversity_penalty": 0.0, "do_sample": false, "dropout": 0.0, "early_stopping": false,
            "encoder_no_repeat_ngram_size": 0, "eos_token_id": 2, "finetuning_task": null, "gradient_checkpointing": false,
            "hidden_act": "quick_gelu", "hidden_size": 24, "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 48,
            "is_decoder": false, "is_encoder_decoder": false, "layer_norm_eps": 1e-05, "length_penalty": 1.0, "max_length": 20,
            "max_position_embeddings": 77, "min_length": 0, "model_type": "clip_text_model", "no_repeat_ngram_size": 0,
            "num_attention_heads": 4, "num_beam_groups": 1, "num_beams": 1, "num_hidden_layers": 2, "num_return_sequences": 1,
            "output_attentions": false, "output_hidden_states": false, "output_scores": false, "pad_token_id": 1, "prefix": null,
            "projection_dim": 512, "pruned_heads": {}, "repetition_penalty": 1.0, "return_dict": true, "temperature": 1.0,
            "tie_encoder_decoder": false, "tie_word_embeddings": true, "top_k": 50, "top_p": 1.0, "torch_dtype": null, "torchscript": false,
            "transformers_version": "4.16.0.dev0", "use_bfloat16": false, "vocab_size": 49408 },
            "text_config_dict": null, "torch_dtype": "float32", "transformers_version": null,
            "vision_config": { "_name_or_path": "", "add_cross_attention": false, "architectures": null, "attention_dropout": 0.0,
            "chunk_size_feed_forward": 0, "cross_attention_hidden_size": null, "dropout": 0.0, "gradient_checkpointing": false,
            "hidden_act": "quick_gelu", "hidden_size": 24, "image_size": 224, "initializer_factor": 1.0, "initializer_range": 0.02,
            "intermediate_size": 48, "is_decoder": false, "is_encoder_decoder": false, "layer_norm_eps": 1e-05,
            "model_type": "clip_vision_model", "num_attention_heads": 6, "num_channels": 3, "num_hidden_layers": 2,
            "output_attentions": false, "patch_size": 32, "projection_dim": 512, "pruned_heads": {}, "torch_dtype": null,
            "transformers_version": "4.16.0.dev0" }, "vision_config_dict": null }
            """, random);
        foreach (string part in (string[])["text_model", "vision_model"])
        {
            checkpoint.AddPositions(part + ".embeddings.position_ids", 77);
            for (int n = 0; n < 2; n++)
                AddSeparate(checkpoint, $"{part}.encoder.layers.{n}.self_attn.", Size, "q_proj", "k_proj", "v_proj", "out_proj");
        }

        return checkpoint;
    },
    [
        new("text_model.encoder.layers.1.self_attn", 1, ModelStack.Text, IsCausal: true),
        new("vision_model.encoder.layers.0.self_attn", 0, ModelStack.Vision),
    ], (checkpoint, layer, rows) => Plain(
        checkpoint, rows, checkpoint.Int((layer.IsCausal ? "text_config" : "vision_config") + ".num_attention_heads"),
        "q_proj", "k_proj", "v_proj", "out_proj", layer.Prefix, layer.IsCausal))
    { Size = Size };

    /// <summary>The text part of a CLIP alone, as Stable Diffusion has it. Source: as <see cref="Clip"/>.</summary>
    public static FamilyDefinition ClipText() => ClipPart("clip_text_model", "text_model", """
        "architectures": ["CLIPTextModel"], "bos_token_id": 0, "eos_token_id": 2, "max_position_embeddings": 77, "pad_token_id": 1,
        "vocab_size": 49408
        """, ModelStack.Text, isCausal: true);

    /// <summary>The part of pictures of a CLIP alone, as Stable Diffusion has it. Source: as <see cref="Clip"/>.</summary>
    public static FamilyDefinition ClipVision() => ClipPart("clip_vision_model", "vision_model", """
        "architectures": ["CLIPVisionModelWithProjection"], "image_size": 224, "num_channels": 3, "patch_size": 14
        """, ModelStack.Vision, isCausal: false);

    /// <summary>
    /// The tower of pictures of an OpenAI CLIP as open_clip stores it, whose configuration has another name. Source: open_clip,
    /// <c>src/open_clip/transformer.py</c>, <c>ResidualAttentionBlock</c>, whose attention is <c>torch.nn.MultiheadAttention</c>: rows of
    /// <c>in_proj_weight</c> are all queries, all keys, all values.
    /// </summary>
    public static FamilyDefinition OpenClip() => new("open_clip", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "model_cfg": { "embed_dim": 512, "vision_cfg": { "image_size": 224, "layers": 1, "width": 24, "patch_size": 32,
            "heads": 4 } } }
            """, random);
        const string prefix = "visual.transformer.resblocks.0.";
        return checkpoint.AddMatrix(prefix + "attn.in_proj_weight", 3 * Size, Size).AddVector(prefix + "attn.in_proj_bias", 3 * Size)
            .AddLinear(prefix + "attn.out_proj", Size, Size, bias: true).AddNorm(prefix + "ln_1.weight", Size);
    }, [new("visual.transformer.resblocks.0.attn", 0, null)], (checkpoint, layer, rows) =>
    {
        double[][] joined = Float64.Linear(
            rows.Query, checkpoint.Matrix(layer.Prefix + ".in_proj_weight"), checkpoint.Vector(layer.Prefix + ".in_proj_bias"));
        int heads = checkpoint.Int("model_cfg.vision_cfg.heads");
        double[][] mixed = Float64.Attend(
            Float64.Columns(joined, 0, Size), Float64.Columns(joined, Size, Size), Float64.Columns(joined, 2 * Size, Size), heads, heads,
            Float64.Scaled(1.0 / Math.Sqrt(Size / heads), causal: false));
        return checkpoint.Linear(layer.Prefix + ".out_proj", mixed);
    })
    { Size = Size };

    /// <summary>Projections, attention with the scale 1 / sqrt(head size), projection.</summary>
    internal static double[][] Plain(
        HubCheckpoint checkpoint, LayerRows rows, int heads, string query, string key, string value, string output, string prefix,
        bool causal = false)
    {
        double[][] queries = checkpoint.Linear($"{prefix}.{query}", rows.Query);
        double[][] mixed = Float64.Attend(
            queries, checkpoint.Linear($"{prefix}.{key}", rows.Key), checkpoint.Linear($"{prefix}.{value}", rows.Value), heads, heads,
            Float64.Scaled(1.0 / Math.Sqrt(queries[0].Length / heads), causal));
        return checkpoint.Linear($"{prefix}.{output}", mixed);
    }

    /// <summary>Square matrices with biases.</summary>
    internal static void AddSeparate(HubCheckpoint checkpoint, string prefix, int size, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
            checkpoint.AddLinear(prefix + name, size, size, bias: true);
    }

    private static FamilyDefinition BertType(
        string name, string model, (string Weight, string Bias) norm, string members) => new(name, random =>
    {
        var checkpoint = new HubCheckpoint($$"""
            { {{members}}, "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 24,
            "initializer_range": 0.02, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2 }
            """, random);
        checkpoint.AddPositions(model + "embeddings.position_ids", 16).AddMatrix(model + "embeddings.word_embeddings.weight", 5, Size);
        for (int n = 0; n < 2; n++)
        {
            string layer = $"{model}encoder.layer.{n}.";
            AddSeparate(checkpoint, layer + "attention.", Size, "self.query", "self.key", "self.value", "output.dense");
            checkpoint.AddNorm(layer + "attention.output.LayerNorm." + norm.Weight, Size)
                .AddVector(layer + "attention.output.LayerNorm." + norm.Bias, Size)
                .AddLinear(layer + "intermediate.dense", 48, Size, bias: true);
        }

        return checkpoint;
    }, [new(model + "encoder.layer.1.attention", 1, ModelStack.Encoder)], (checkpoint, layer, rows) => Plain(
        checkpoint, rows, checkpoint.Int("num_attention_heads"), "self.query", "self.key", "self.value", "output.dense", layer.Prefix))
        { Size = Size };

    private static FamilyDefinition ClipPart(
        string type, string part, string members, ModelStack stack, bool isCausal) => new(type, random =>
    {
        var checkpoint = new HubCheckpoint($$"""
            { {{members}}, "_name_or_path": "openai/clip-vit-large-patch14", "attention_dropout": 0.0, "dropout": 0.0,
            "hidden_act": "quick_gelu", "hidden_size": 24, "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 48,
            "layer_norm_eps": 1e-05, "model_type": "{{type}}", "num_attention_heads": 4, "num_hidden_layers": 2, "projection_dim": 768,
            "torch_dtype": "float16", "transformers_version": "4.22.0.dev0" }
            """, random);
        for (int n = 0; n < 2; n++)
            AddSeparate(checkpoint, $"{part}.encoder.layers.{n}.self_attn.", Size, "q_proj", "k_proj", "v_proj", "out_proj");
        return checkpoint.AddPositions(part + ".embeddings.position_ids", 77);
    }, [new(part + ".encoder.layers.1.self_attn", 1, stack, isCausal)], (checkpoint, layer, rows) => Plain(
        checkpoint, rows, checkpoint.Int("num_attention_heads"), "q_proj", "k_proj", "v_proj", "out_proj", layer.Prefix, layer.IsCausal))
        { Size = Size };

    private static FamilyDefinition VitType(string name, string model, string members) => new(name, random =>
    {
        var checkpoint = new HubCheckpoint($$"""
            { {{members}}, "attention_probs_dropout_prob": 0.0, "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "hidden_size": 24,
            "initializer_range": 0.02, "num_attention_heads": 3, "num_hidden_layers": 2 }
            """, random);
        for (int n = 0; n < 2; n++)
        {
            string layer = $"{model}encoder.layer.{n}.";
            AddSeparate(
                checkpoint, layer + "attention.", Size, "attention.query", "attention.key", "attention.value", "output.dense");
            checkpoint.AddNorm(layer + (model.Length > 0 ? "layernorm_before.weight" : "norm1.weight"), Size);
            if (model.Length == 0)
                checkpoint.AddVector(layer + "layer_scale1.lambda1", Size);
        }

        return checkpoint;
    }, [new(model + "encoder.layer.1.attention", 1, ModelStack.Encoder)], (checkpoint, layer, rows) => Plain(
        checkpoint, rows, checkpoint.Int("num_attention_heads"), "attention.query", "attention.key", "attention.value", "output.dense",
        layer.Prefix))
    { Size = Size };

    private static FamilyDefinition ModernBertType(string name, string members) => new(name, random =>
    {
        var checkpoint = new HubCheckpoint($$"""
            { {{members}}, "architectures": ["ModernBertForMaskedLM"], "attention_bias": false, "attention_dropout": 0.0,
            "bos_token_id": 50281,
            "classifier_activation": "gelu", "classifier_bias": false, "classifier_dropout": 0.0, "classifier_pooling": "mean",
            "cls_token_id": 50281, "decoder_bias": true, "deterministic_flash_attn": false, "embedding_dropout": 0.0,
            "eos_token_id": 50282, "global_attn_every_n_layers": 3, "gradient_checkpointing": false,
            "hidden_activation": "gelu", "hidden_size": 24, "initializer_cutoff_factor": 2.0, "initializer_range": 0.02,
            "intermediate_size": 48, "local_attention": 6, "max_position_embeddings": 8192, "mlp_bias": false, "mlp_dropout": 0.0,
            "model_type": "modernbert", "norm_bias": false,
            "norm_eps": 1e-05, "num_attention_heads": 3, "num_hidden_layers": 4, "pad_token_id": 50283,
            "position_embedding_type": "absolute", "sep_token_id": 50282, "sparse_pred_ignore_index": -100,
            "sparse_prediction": false, "vocab_size": 50368 }
            """, random);
        for (int n = 0; n < 4; n++)
        {
            string layer = $"model.layers.{n}.";
            checkpoint.AddMatrix(layer + "attn.Wqkv.weight", 3 * Size, Size).AddMatrix(layer + "attn.Wo.weight", Size, Size)
                .AddMatrix(layer + "mlp.Wi.weight", 96, Size);
            if (n > 0)
                checkpoint.AddNorm(layer + "attn_norm.weight", Size);
        }

        return checkpoint;
    }, [new("model.layers.2.attn", 2, ModelStack.Encoder), new("model.layers.3.attn", 3, ModelStack.Encoder)], (checkpoint, layer, rows) =>
    {
        int heads = checkpoint.Int("num_attention_heads");
        int size = checkpoint.Int("hidden_size");
        bool local = layer.Index % checkpoint.Int("global_attn_every_n_layers") != 0;
        var rotation = Rotation.Default(local ? 10000.0 : 160000.0, size / heads);
        double[][] joined = checkpoint.Linear(layer.Prefix + ".Wqkv", rows.Query);
        double[][] query = rotation.Rotate(Float64.Columns(joined, 0, size), size / heads);
        double[][] key = rotation.Rotate(Float64.Columns(joined, size, size), size / heads);
        int reach = local ? checkpoint.Int("local_attention") / 2 : int.MaxValue;
        double scale = 1.0 / Math.Sqrt(size / heads);
        double[][] mixed = Float64.Attend(
            query, key, Float64.Columns(joined, 2 * size, size), heads, heads,
            (_, i, j, product) => Math.Abs(i - j) > reach ? double.NegativeInfinity : product * scale);
        return checkpoint.Linear(layer.Prefix + ".Wo", mixed);
    })
    { Size = Size };
}
