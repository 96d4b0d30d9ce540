namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>
/// T5 and its kin. Source: transformers, <c>models/t5/modeling_t5.py</c>, <c>T5Attention</c> (commit
/// 001359e316a869566f3da5326cbcbc7627705785 for <c>_relative_position_bucket</c>), <c>models/mt5/modeling_mt5.py</c>, and
/// <c>models/umt5/modeling_umt5.py</c>, <c>UMT5Attention</c> (commit 00063ff6661185aeb6e305d50b3b7a3c48f08320): scores are not scaled; a
/// learned number per head and bucket of distances is added to those of self-attention, from the first layer's table in T5 and mT5, from
/// the layer's own in UMT5.
/// </summary>
internal static class T5Families
{
    private const int Size = 24;
    private const int Inner = 32;

    /// <summary>
    /// <c>google-t5/t5-small</c>, which still has a table below the first cross-attention that nothing reads
    /// (<c>_keys_to_ignore_on_load_unexpected</c>).
    /// </summary>
    public static FamilyDefinition T5() => Type("t5", everyLayer: false, """
        "architectures": ["T5ForConditionalGeneration"], "d_ff": 48, "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1,
        "initializer_factor": 1.0, "is_encoder_decoder": true, "layer_norm_epsilon": 1e-06, "model_type": "t5", "n_positions": 512,
        "num_heads": 4, "num_layers": 2, "output_past": true, "pad_token_id": 0, "relative_attention_num_buckets": 32,
        "task_specific_params": { "summarization": { "early_stopping": true, "length_penalty": 2.0, "prefix": "summarize: " } },
        "vocab_size": 32128
        """);

    /// <summary>
    /// The encoder of a T5 alone, as Stable Diffusion 3 and FLUX have it: the configuration is that of the whole. Source: transformers,
    /// <c>models/t5/modeling_t5.py</c>, <c>T5EncoderModel</c>.
    /// </summary>
    public static FamilyDefinition T5Encoder() => Type("t5 (encoder)", everyLayer: false, """
        "_name_or_path": "google/t5-v1_1-xxl", "architectures": ["T5EncoderModel"], "classifier_dropout": 0.0, "d_ff": 48,
        "decoder_start_token_id": 0, "dense_act_fn": "gelu_new", "dropout_rate": 0.1, "eos_token_id": 1,
        "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0, "is_encoder_decoder": true, "is_gated_act": true,
        "layer_norm_epsilon": 1e-06, "model_type": "t5", "num_decoder_layers": 2, "num_heads": 4, "num_layers": 2, "output_past": true,
        "pad_token_id": 0, "relative_attention_max_distance": 128, "relative_attention_num_buckets": 32, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "transformers_version": "4.43.3", "use_cache": true, "vocab_size": 32128
        """, hasDecoder: false);

    /// <summary><c>google/mt5-small</c>; a smaller distance, so that short calls reach the last bucket.</summary>
    public static FamilyDefinition Mt5() => Type("mt5", everyLayer: false, """
        "_name_or_path": "/home/patrick/hugging_face/t5/mt5-small", "architectures": ["MT5ForConditionalGeneration"], "d_ff": 48,
        "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1, "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0,
        "is_encoder_decoder": true, "layer_norm_epsilon": 1e-06, "model_type": "mt5", "num_decoder_layers": 2, "num_heads": 4,
        "num_layers": 2, "output_past": true, "pad_token_id": 0, "relative_attention_max_distance": 11,
        "relative_attention_num_buckets": 12, "tie_word_embeddings": false, "tokenizer_class": "T5Tokenizer",
        "transformers_version": "4.31.0.dev0", "use_cache": true, "vocab_size": 250112
        """);

    /// <summary><c>google/umt5-small</c>.</summary>
    public static FamilyDefinition Umt5() => Type("umt5", everyLayer: true, """
        "architectures": ["UMT5ForConditionalGeneration"], "classifier_dropout": 0.0, "d_ff": 48, "decoder_start_token_id": 0,
        "dense_act_fn": "gelu_new", "dropout_rate": 0.1, "eos_token_id": 1, "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0,
        "is_encoder_decoder": true, "is_gated_act": true, "layer_norm_epsilon": 1e-06, "model_type": "umt5", "num_decoder_layers": 2,
        "num_heads": 4, "num_layers": 2, "output_past": true, "pad_token_id": 0, "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 16, "scalable_attention": true, "tie_word_embeddings": false, "tokenizer_class": "T5Tokenizer",
        "torch_dtype": "float32", "transformers_version": "4.31.0.dev0", "use_cache": true, "vocab_size": 256384
        """);

    /// <summary>
    /// <c>sentence-transformers/all-mpnet-base-v2</c>: BERT with T5's buckets, to a distance of 128, from one table of the encoder. Source:
    /// transformers, <c>models/mpnet/modeling_mpnet.py</c>, <c>MPNetSelfAttention</c> and <c>MPNetEncoder.relative_position_bucket</c>.
    /// </summary>
    public static FamilyDefinition MpNet() => new("mpnet", random =>
    {
        var checkpoint = new HubCheckpoint("""
            { "_name_or_path": "microsoft/mpnet-base", "architectures": ["MPNetForMaskedLM"], "attention_probs_dropout_prob": 0.1,
            "bos_token_id": 0, "eos_token_id": 2, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 24,
            "initializer_range": 0.02, "intermediate_size": 48, "layer_norm_eps": 1e-05, "max_position_embeddings": 514,
            "model_type": "mpnet", "num_attention_heads": 3, "num_hidden_layers": 2, "pad_token_id": 1,
            "relative_attention_num_buckets": 32, "transformers_version": "4.8.2", "vocab_size": 30527 }
            """, random);
        for (int n = 0; n < 2; n++)
        {
            EncoderFamilies.AddSeparate(checkpoint, $"encoder.layer.{n}.attention.attn.", Size, "q", "k", "v", "o");
            checkpoint.AddNorm($"encoder.layer.{n}.attention.LayerNorm.weight", Size)
                .AddVector($"encoder.layer.{n}.attention.LayerNorm.bias", Size);
        }

        return checkpoint.AddMatrix("encoder.relative_attention_bias.weight", 32, 3);
    }, [new("encoder.layer.1.attention", 1, ModelStack.Encoder)], (checkpoint, layer, rows) =>
    {
        int heads = checkpoint.Int("num_attention_heads");
        double[][] table = checkpoint.Matrix("encoder.relative_attention_bias.weight");
        double scale = 1.0 / Math.Sqrt(Size / heads);
        string attention = layer.Prefix + ".attn";
        double[][] mixed = Float64.Attend(
            checkpoint.Linear(attention + ".q", rows.Query), checkpoint.Linear(attention + ".k", rows.Key),
            checkpoint.Linear(attention + ".v", rows.Value), heads, heads,
            (head, i, j, product) => product * scale + table[Bucket(j - i, bothSides: true, 32, 128)][head]);
        return checkpoint.Linear(attention + ".o", mixed);
    })
    { Size = Size };

    /// <summary>
    /// The bucket of a key at a distance (its position less the query's). An encoder tells keys before and behind the query apart, a
    /// decoder
    /// has keys before it alone. Half of the buckets are for one distance each, the others for ranges that grow like a logarithm.
    /// </summary>
    internal static int Bucket(int distance, bool bothSides, int buckets, int largest)
    {
        int first = 0;
        if (bothSides)
        {
            buckets /= 2;
            first = distance > 0 ? buckets : 0;
            distance = Math.Abs(distance);
        }
        else
        {
            distance = Math.Max(-distance, 0);
        }

        int exact = buckets / 2;
        if (distance < exact)
            return first + distance;
        double place = Math.Log((double)distance / exact) / Math.Log((double)largest / exact) * (buckets - exact);
        return first + Math.Min(exact + (int)place, buckets - 1);
    }

    private static FamilyDefinition Type(string name, bool everyLayer, string members, bool hasDecoder = true) => new(name, random =>
    {
        var checkpoint = new HubCheckpoint($$"""{ {{members}}, "d_kv": 8, "d_model": 24 }""", random);
        int buckets = checkpoint.Int("relative_attention_num_buckets");
        void Add(string prefix, bool hasTable)
        {
            foreach (string projection in (string[])["q", "k", "v"])
                checkpoint.AddMatrix($"{prefix}.{projection}.weight", Inner, Size);
            checkpoint.AddMatrix($"{prefix}.o.weight", Size, Inner);
            if (hasTable)
                checkpoint.AddMatrix($"{prefix}.relative_attention_bias.weight", buckets, 4);
        }

        checkpoint.AddMatrix("shared.weight", 5, Size);
        for (int n = 0; n < 2; n++)
        {
            Add($"encoder.block.{n}.layer.0.SelfAttention", everyLayer || n == 0);
            checkpoint.AddNorm($"encoder.block.{n}.layer.0.layer_norm.weight", Size);
            if (!hasDecoder)
                continue;
            Add($"decoder.block.{n}.layer.0.SelfAttention", everyLayer || n == 0);
            Add($"decoder.block.{n}.layer.1.EncDecAttention", name == "t5" && n == 0);
            checkpoint.AddNorm($"decoder.block.{n}.layer.0.layer_norm.weight", Size)
                .AddNorm($"decoder.block.{n}.layer.1.layer_norm.weight", Size);
        }

        return checkpoint;
    },
    [
        new("encoder.block.0.layer.0.SelfAttention", 0, ModelStack.Encoder),
        new("encoder.block.1.layer.0.SelfAttention", 1, ModelStack.Encoder),
        .. hasDecoder
            ? (DefinedLayer[])
            [
                new("decoder.block.1.layer.0.SelfAttention", 1, ModelStack.Decoder, IsCausal: true),
                new("decoder.block.0.layer.1.EncDecAttention", 0, ModelStack.Decoder, IsCross: true),
            ]
            : [],
    ], (checkpoint, layer, rows) =>
    {
        int heads = checkpoint.Int("num_heads");
        string first = everyLayer ? layer.Prefix : layer.Prefix.Replace("block.1", "block.0", StringComparison.Ordinal);
        double[][]? table = layer.IsCross ? null : checkpoint.Matrix(first + ".relative_attention_bias.weight");
        int buckets = checkpoint.Int("relative_attention_num_buckets");
        int largest = checkpoint.Has("relative_attention_max_distance") ? checkpoint.Int("relative_attention_max_distance") : 128;
        double[][] mixed = Float64.Attend(
            checkpoint.Linear(layer.Prefix + ".q", rows.Query), checkpoint.Linear(layer.Prefix + ".k", rows.Key),
            checkpoint.Linear(layer.Prefix + ".v", rows.Value), heads, heads,
            (head, query, key, product) => layer.IsCausal && key > query ? double.NegativeInfinity
                : product + (table?[Bucket(key - query, !layer.IsCausal, buckets, largest)][head] ?? 0.0));
        return checkpoint.Linear(layer.Prefix + ".o", mixed);
    })
    { Size = Size };
}
