namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>What the kinds of Falcon have in common; see <see cref="FusedFamilies.Falcon7B"/> for the source.</summary>
internal static class FalconFamilies
{
    private const int Size = 32;
    private const int Heads = 4;
    private const int HeadSize = 8;

    public static FamilyDefinition Type(string name, string members, int keyValueHeads) => new(name, random =>
    {
        var checkpoint = new HubCheckpoint($$"""
            { {{members}}, "apply_residual_connection_post_layernorm": false, "architectures": ["FalconForCausalLM"],
            "attention_dropout": 0.0, "auto_map": { "AutoConfig": "configuration_falcon.FalconConfig",
            "AutoModel": "modeling_falcon.FalconModel", "AutoModelForCausalLM": "modeling_falcon.FalconForCausalLM" },
            "bos_token_id": 11, "eos_token_id": 11, "hidden_dropout": 0.0, "hidden_size": 32, "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-05, "model_type": "falcon", "num_attention_heads": 4, "num_hidden_layers": 2,
            "torch_dtype": "bfloat16", "transformers_version": "4.27.4", "use_cache": true, "vocab_size": 65024 }
            """, random);
        for (int n = 0; n < 2; n++)
        {
            string layer = $"transformer.h.{n}.";
            bool bias = checkpoint.Flag("bias");
            checkpoint.AddLinear(layer + "self_attention.query_key_value", (Heads + 2 * keyValueHeads) * HeadSize, Size, bias)
                .AddLinear(layer + "self_attention.dense", Size, Size, bias).AddNorm(layer + "input_layernorm.weight", Size);
        }

        return checkpoint;
    }, [new("transformer.h.1.self_attention", 1, ModelStack.Decoder, IsCausal: true)], (checkpoint, layer, rows) =>
    {
        // All kinds are groups of queries with their key and value behind them: one group, some, or a group for each head.
        int group = Heads / keyValueHeads;
        double[][] joined = checkpoint.Linear(layer.Prefix + ".query_key_value", rows.Query);
        double[][] query = Float64.Blocks(
            joined, HeadSize, Enumerable.Range(0, Heads).Select(head => head / group * (group + 2) + head % group));
        double[][] key = Float64.Blocks(
            joined, HeadSize, Enumerable.Range(0, keyValueHeads).Select(shared => shared * (group + 2) + group));
        double[][] value = Float64.Blocks(
            joined, HeadSize, Enumerable.Range(0, keyValueHeads).Select(shared => shared * (group + 2) + group + 1));
        double scale = 1.0 / Math.Sqrt(HeadSize);
        double[][] mixed;
        if (checkpoint.Flag("alibi"))
        {
            double[] slopes = FusedFamilies.Slopes(Heads);
            mixed = Float64.Attend(
                query, key, value, Heads, keyValueHeads,
                (head, i, j, product) => j > i ? double.NegativeInfinity : (product + slopes[head] * j) * scale);
        }
        else
        {
            var rotation = Rotation.Default(10000.0, HeadSize);
            mixed = Float64.Attend(
                rotation.Rotate(query, HeadSize), rotation.Rotate(key, HeadSize), value, Heads, keyValueHeads,
                Float64.Scaled(scale, causal: true));
        }

        return checkpoint.Linear(layer.Prefix + ".dense", mixed);
    })
    { Size = Size };
}
