namespace AttentionGpu.Tests.Models;

/// <summary>Layers of published models, each as a mapping describes it.</summary>
internal static class DescribedLayers
{
    private const string Llama = """{"prefix":"model.layers.N.self_attn","stack":"decoder","causal":true,"output":"o_proj","num_attention_heads":4""";

    /// <summary>Names of <see cref="PublishedModels"/>, with the object that describes the layer.</summary>
    public static TheoryData<string, string> All { get; } = new()
    {
        { "Llama 2", Llama + ""","num_key_value_heads":2,"rope_theta":10000}""" },
        {
            "Llama 3.1",
            Llama + """
                ,"head_dim":8,"rope_theta":500000.0,"rope_scaling":{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
                 "original_max_position_embeddings":32,"rope_type":"llama3"}}
                """
        },
        { "Mistral", Llama + ""","rope_theta":10000.0,"sliding_window":4}""" },
        { "Gemma 2, all tokens", Llama + ""","rope_theta":10000.0,"scale":0.22360679774,"softcap":1.5}""" },
        { "Gemma 3, window", Llama + ""","rope_theta":10000.0,"scale":0.22360679774,"sliding_window":4,"norms":"less_one","rms_norm_eps":1e-5}""" },
        { "Qwen3", Llama + ""","rope_theta":1000000.0,"norms":"plain","rms_norm_eps":1e-5}""" },
        {
            "gpt-oss, all tokens",
            Llama + """
                ,"rope_theta":150000,"sinks":true,"sliding_window":4,
                 "layer_types":["sliding_attention","full_attention","sliding_attention","full_attention"],"rope_scaling":{"rope_type":"yarn",
                 "factor":32.0,"original_max_position_embeddings":64,"truncate":false}}
                """
        },
        {
            "GPT-J",
            """
            {"prefix":"transformer.h.N.attn","stack":"decoder","causal":true,"num_attention_heads":4,"rope_theta":10000,"rotary_dim":4,
             "interleaved":true}
            """
        },
        {
            "GPT-2",
            """
            {"prefix":"transformer.h.N.attn","stack":"decoder","causal":true,"num_attention_heads":4,"joined":"c_attn","output":"c_proj",
             "transposed":true}
            """
        },
        {
            "BLOOM",
            """
            {"prefix":"transformer.h.N.self_attention","stack":"decoder","causal":true,"num_attention_heads":6,"joined":"query_key_value",
             "order":"grouped","output":"dense","alibi":"bloom"}
            """
        },
        {
            "BERT",
            """
            {"prefix":"bert.encoder.layer.N.attention","num_attention_heads":4,"query":"self.query","key":"self.key","value":"self.value",
             "output":"output.dense","ignore":["output.LayerNorm.weight","output.LayerNorm.bias"]}
            """
        },
        {
            "T5, decoder",
            """
            {"prefix":"decoder.block.N.layer.0.SelfAttention","stack":"decoder","causal":true,"num_attention_heads":4,"query":"q","key":"k",
             "value":"v","output":"o","scale":1,"relative_bias":"decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
             "relative_attention_num_buckets":8,"relative_attention_max_distance":7}
            """
        },
        {
            "encoder and decoder: cross-attention",
            """{"prefix":"model.decoder.layers.N.encoder_attn","stack":"decoder","cross":true,"num_attention_heads":8}"""
        },
        {
            "SAM, last tokens to image",
            """{"prefix":"mask_decoder.transformer.final_attn_token_to_image","stack":"decoder","cross":true,"num_attention_heads":4}"""
        },
    };
}
