namespace AttentionGpu.Tests.Models;

/// <summary>Models whose rotary embedding depends on the length of a call, and timm's, whose heads follow from a name.</summary>
internal static class PublishedScaledModels
{
    private static readonly PublishedModel _phi3 = PublishedModels.Llama with
    {
        Types = ["phi3"],
        Json = $$$"""
            {"model_type":"TYPE",{{{PublishedModels.Grouped}}},"rope_theta":10000.0,"max_position_embeddings":64,
             "original_max_position_embeddings":16,"sliding_window":null,"rope_scaling":{"long_factor":[1.5,2.5,3.5,9.0],
             "short_factor":[1.0,1.1,1.2,1.3],"type":"longrope"}}
            """,
        Store = layer =>
        {
            layer.Stacked("qkv_proj");
            layer.Output("o_proj");
        },
        Rotary = new(10_000.0, 8)
        {
            Scaling = Layers.ScalingForm.LongRope,
            ShortDivisors = [1.0, 1.1, 1.2, 1.3],
            LongDivisors = [1.5, 2.5, 3.5, 9.0],
            OriginalContext = 16,
            Factor = 4.0,
        },
    };

    /// <summary>The models by the name of a case.</summary>
    public static IReadOnlyDictionary<string, PublishedModel> All { get; } = new Dictionary<string, PublishedModel>
    {
        ["Phi-3, LongRoPE, short"] = _phi3,
        ["Phi-3, LongRoPE, long"] = _phi3 with
        {
            Json = _phi3.Json.Replace("16", "4", StringComparison.Ordinal).Replace("longrope", "su", StringComparison.Ordinal),
            Rotary = _phi3.Rotary! with { OriginalContext = 4, Factor = 16.0 },
        },
        ["Llama, dynamic NTK"] = PublishedModels.Llama with
        {
            Json = $$$"""
                {"model_type":"TYPE",{{{PublishedModels.Grouped}}},"max_position_embeddings":4,"rope_scaling":{"factor":2.0,"type":"dynamic"}}
                """,
            Rotary = new(10_000.0, 8) { Scaling = Layers.ScalingForm.Dynamic, Factor = 2.0, OriginalContext = 4 },
        },
        ["timm's ViT"] = new()
        {
            Types = ["timm_vit"],
            Json = """
                {"architecture":"vit_small_patch16_224","num_classes":1000,"num_features":48,"pretrained_cfg":{"tag":"augreg_in21k_ft_in1k"},
                 "model_args":{"img_size":224}}
                """,
            Prefix = "blocks.3.attn.",
            Index = 3,
            Stack = ModelStack.Encoder,
            IsCausal = false,
            Store = layer =>
            {
                layer.Stacked("qkv");
                layer.Output("proj");
            },
            Config = new() { EmbeddingSize = 48, Heads = 6 },
            InputBiases = true,
            OutputBias = true,
        },
    };
}
