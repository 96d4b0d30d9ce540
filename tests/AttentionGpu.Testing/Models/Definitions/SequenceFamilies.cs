namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>Models of an encoder and a decoder that looks at it.</summary>
internal static class SequenceFamilies
{
    private const int Size = 24;

    // Members that all of these files have; heads of the encoder and of the decoder differ here, so that none is taken for the other.
    private const string Shared = """
        "activation_dropout": 0.0, "attention_dropout": 0.0, "d_model": 24, "decoder_attention_heads": 3, "decoder_ffn_dim": 48,
        "decoder_layerdrop": 0.0, "decoder_layers": 2, "dropout": 0.1, "encoder_attention_heads": 4, "encoder_ffn_dim": 48,
        "encoder_layerdrop": 0.0, "encoder_layers": 2, "init_std": 0.02, "is_encoder_decoder": true, "num_hidden_layers": 2
        """;

    /// <summary><c>facebook/bart-large-cnn</c>. Source: transformers, <c>models/bart/modeling_bart.py</c>, <c>BartAttention</c>.</summary>
    public static FamilyDefinition Bart() => BartType("bart", "model.", """
        "_num_labels": 3, "activation_function": "gelu", "add_final_layer_norm": false, "architectures": ["BartForConditionalGeneration"],
        "bos_token_id": 0, "classif_dropout": 0.0, "classifier_dropout": 0.0, "decoder_start_token_id": 2, "early_stopping": true,
        "eos_token_id": 2, "force_bos_token_to_be_generated": true, "forced_bos_token_id": 0, "forced_eos_token_id": 2,
        "gradient_checkpointing": false, "id2label": { "0": "LABEL_0" }, "label2id": { "LABEL_0": 0 }, "length_penalty": 2.0,
        "max_length": 142, "max_position_embeddings": 1024, "min_length": 56, "model_type": "bart", "no_repeat_ngram_size": 3,
        "normalize_before": false, "num_beams": 4, "output_past": true, "pad_token_id": 1, "prefix": " ", "replacing_rate": 0,
        "scale_embedding": false, "static_position_embeddings": false, "student_decoder_layers": null, "student_encoder_layers": null,
        "task_specific_params": { "summarization": { "early_stopping": true, "length_penalty": 2.0 } },
        "transformers_version": "4.7.0.dev0",
        "use_cache": true, "vocab_size": 50264
        """);

    /// <summary>
    /// <c>Helsinki-NLP/opus-mt-en-de</c>. Source: transformers, <c>models/marian/modeling_marian.py</c>, <c>MarianAttention</c>.
    /// </summary>
    public static FamilyDefinition Marian() => BartType("marian", "model.", """
        "_num_labels": 3, "activation_function": "swish", "add_bias_logits": false, "add_final_layer_norm": false,
        "architectures": ["MarianMTModel"], "bad_words_ids": [[58100]], "bos_token_id": 0, "classif_dropout": 0.0,
        "decoder_start_token_id": 58100, "decoder_vocab_size": 58101, "eos_token_id": 0, "extra_pos_embeddings": 58101,
        "forced_eos_token_id": 0, "max_length": 512, "max_position_embeddings": 512, "model_type": "marian", "normalize_before": false,
        "normalize_embedding": false, "num_beams": 6, "pad_token_id": 58100, "scale_embedding": true,
        "share_encoder_decoder_embeddings": true,
        "static_position_embeddings": true, "transformers_version": "4.22.0.dev0", "use_cache": true, "vocab_size": 58101
        """);

    /// <summary>
    /// <c>facebook/nllb-200-distilled-600M</c>. Source: transformers, <c>models/m2m_100/modeling_m2m_100.py</c>, <c>M2M100Attention</c>.
    /// </summary>
    public static FamilyDefinition Nllb() => BartType("m2m_100", "model.", """
        "activation_function": "relu", "architectures": ["M2M100ForConditionalGeneration"], "bos_token_id": 0, "decoder_start_token_id": 2,
        "eos_token_id": 2, "max_length": 200, "max_position_embeddings": 1024, "model_type": "m2m_100", "pad_token_id": 1,
        "scale_embedding": true, "tokenizer_class": "NllbTokenizer", "torch_dtype": "float32", "transformers_version": "4.21.0.dev0",
        "use_cache": true, "vocab_size": 256206
        """);

    /// <summary>
    /// <c>google/pegasus-xsum</c>. Source: transformers, <c>models/pegasus/modeling_pegasus.py</c>, <c>PegasusAttention</c>.
    /// </summary>
    public static FamilyDefinition Pegasus() => BartType("pegasus", "model.", """
        "activation_function": "relu", "add_bias_logits": false, "add_final_layer_norm": true,
        "architectures": ["PegasusForConditionalGeneration"], "bos_token_id": 0, "classif_dropout": 0.0, "classifier_dropout": 0.0,
        "decoder_start_token_id": 0, "do_blenderbot_90_layernorm": false, "eos_token_id": 1, "extra_pos_embeddings": 0,
        "force_bos_token_to_be_generated": false, "forced_eos_token_id": 1, "gradient_checkpointing": false, "length_penalty": 0.6,
        "max_length": 64, "max_position_embeddings": 512, "model_type": "pegasus", "normalize_before": true, "normalize_embedding": false,
        "num_beams": 8, "pad_token_id": 0, "scale_embedding": true, "static_position_embeddings": true, "use_cache": true,
        "vocab_size": 96103
        """);

    /// <summary>
    /// <c>openai/whisper-tiny</c>, whose keys have no bias. Source: transformers, <c>models/whisper/modeling_whisper.py</c>,
    /// <c>WhisperAttention</c>.
    /// </summary>
    public static FamilyDefinition Whisper() => BartType("whisper", "model.", """
        "_name_or_path": "openai/whisper-tiny", "activation_function": "gelu", "apply_spec_augment": false,
        "architectures": ["WhisperForConditionalGeneration"], "begin_suppress_tokens": [220, 50257], "bos_token_id": 50257,
        "classifier_proj_size": 256, "decoder_start_token_id": 50258, "eos_token_id": 50257, "forced_decoder_ids": [[1, 50259], [2, 50359]],
        "mask_feature_length": 10, "mask_feature_min_masks": 0, "mask_feature_prob": 0.0, "mask_time_length": 10, "mask_time_min_masks": 2,
        "mask_time_prob": 0.05, "max_length": 448, "max_source_positions": 1500, "max_target_positions": 448, "median_filter_width": 7,
        "model_type": "whisper", "num_mel_bins": 80, "pad_token_id": 50257, "scale_embedding": false, "suppress_tokens": [1, 2, 7],
        "torch_dtype": "float32", "transformers_version": "4.37.0.dev0", "use_cache": true, "use_weighted_layer_sum": false,
        "vocab_size": 51865
        """);

    /// <summary>
    /// <c>facebook/opt-125m</c>. Source: transformers, <c>models/opt/modeling_opt.py</c>, <c>OPTAttention</c>, which scales the queries.
    /// </summary>
    public static FamilyDefinition Opt() => new("opt", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "_name_or_path": "facebook/opt-125m", "_remove_final_layer_norm": false, "activation_dropout": 0.0,
            "activation_function": "relu", "architectures": ["OPTForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 2,
            "do_layer_norm_before": true, "dropout": 0.1, "enable_bias": true, "eos_token_id": 2, "ffn_dim": 48, "hidden_size": 24,
            "init_std": 0.02, "layer_norm_elementwise_affine": true, "layerdrop": 0.0, "max_position_embeddings": 2048,
            "model_type": "opt", "num_attention_heads": 4, "num_hidden_layers": 2, "pad_token_id": 1, "prefix": "</s>",
            "torch_dtype": "float16", "transformers_version": "4.21.0.dev0", "use_cache": true, "vocab_size": 50272,
            "word_embed_proj_dim": 24 }
            """, random);
        for (int n = 0; n < 2; n++)
        {
            string layer = $"model.decoder.layers.{n}.";
            EncoderFamilies.AddSeparate(checkpoint, layer + "self_attn.", Size, "q_proj", "k_proj", "v_proj", "out_proj");
            checkpoint.AddNorm(layer + "self_attn_layer_norm.weight", Size).AddLinear(layer + "fc1", 48, Size, bias: true);
        }

        return checkpoint;
    }, [new("model.decoder.layers.1.self_attn", 1, ModelStack.Decoder, IsCausal: true)], (checkpoint, layer, rows) => EncoderFamilies.Plain(
        checkpoint, rows, checkpoint.Int("num_attention_heads"), "q_proj", "k_proj", "v_proj", "out_proj", layer.Prefix, causal: true))
    { Size = Size };

    private static FamilyDefinition BartType(string name, string model, string members) => new(name, random =>
    {
        var checkpoint = new HubCheckpoint($$"""{ {{members}}, {{Shared}} }""", random);
        for (int n = 0; n < 2; n++)
        {
            foreach (string attention in (string[])["encoder:self_attn", "decoder:self_attn", "decoder:encoder_attn"])
            {
                string prefix = model + attention.Replace(":", $".layers.{n}.", StringComparison.Ordinal);
                foreach (string projection in (string[])["k_proj", "v_proj", "q_proj", "out_proj"])
                    checkpoint.AddLinear($"{prefix}.{projection}", Size, Size, bias: name != "whisper" || projection != "k_proj");
                checkpoint.AddNorm(prefix + "_layer_norm.weight", Size);
            }
        }

        return checkpoint;
    },
    [
        new(model + "encoder.layers.1.self_attn", 1, ModelStack.Encoder),
        new(model + "decoder.layers.0.self_attn", 0, ModelStack.Decoder, IsCausal: true),
        new(model + "decoder.layers.1.encoder_attn", 1, ModelStack.Decoder, IsCross: true),
    ], (checkpoint, layer, rows) => EncoderFamilies.Plain(
        checkpoint, rows, checkpoint.Int(layer.Stack == ModelStack.Encoder ? "encoder_attention_heads" : "decoder_attention_heads"),
        "q_proj", "k_proj", "v_proj", "out_proj", layer.Prefix, layer.IsCausal))
    { Size = Size };
}
