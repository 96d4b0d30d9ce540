namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>
/// A decoder's layer whose projections are <c>q_proj</c>, <c>k_proj</c>, <c>v_proj</c> and <c>o_proj</c> and whose queries and keys are
/// rotated. Source: transformers, <c>models/llama/modeling_llama.py</c>, <c>LlamaAttention</c>; what a family adds is at the family.
/// </summary>
internal sealed record RotaryDecoder(int Heads, int KeyValueHeads, int HeadSize, Rotation Rotation)
{
    /// <summary>The factor of the products; 1 / sqrt(head size) if null.</summary>
    public double? Scale { get; init; }

    /// <summary>How many keys a query sees, its own the last; all before it if null.</summary>
    public int? Window { get; init; }

    /// <summary>Scaled products become softcap * tanh(product / softcap) before keys are hidden.</summary>
    public double? Softcap { get; init; }

    /// <summary>
    /// Norms of the heads of queries and keys before the rotation (<c>q_norm</c>, <c>k_norm</c>): what their weights lack, and epsilon.
    /// </summary>
    public (double Missing, double Epsilon)? Norms { get; init; }

    public bool HasSinks { get; init; }

    public double[][] Attend(HubCheckpoint checkpoint, string prefix, double[][] rows) => checkpoint.Linear(
        prefix + ".o_proj",
        Mix(
            checkpoint, prefix, checkpoint.Linear(prefix + ".q_proj", rows), checkpoint.Linear(prefix + ".k_proj", rows),
            checkpoint.Linear(prefix + ".v_proj", rows)));

    /// <summary>What lies between the projections.</summary>
    public double[][] Mix(HubCheckpoint checkpoint, string prefix, double[][] query, double[][] key, double[][] value)
    {
        if (Norms is (double missing, double epsilon))
        {
            double[] Weight(string name) => [.. checkpoint.Vector($"{prefix}.{name}.weight").Select(weight => weight + missing)];
            query = Float64.EachHead(query, HeadSize, (head, _) => Float64.RmsNorm(head, Weight("q_norm"), epsilon));
            key = Float64.EachHead(key, HeadSize, (head, _) => Float64.RmsNorm(head, Weight("k_norm"), epsilon));
        }

        double scale = Scale ?? 1.0 / Math.Sqrt(HeadSize);
        ScoreOf visible = Float64.Windowed(1.0, Window);
        return Float64.Attend(
            Rotation.Rotate(query, HeadSize), Rotation.Rotate(key, HeadSize), value, Heads, KeyValueHeads,
            (head, i, j, product) => visible(head, i, j, Softcap is double cap ? cap * Math.Tanh(product * scale / cap) : product * scale),
            HasSinks ? checkpoint.Vector(prefix + ".sinks") : null);
    }

    /// <summary>
    /// The tensors of all layers below <c>model.layers.N.</c>, with those of a norm and a feed-forward net beside attention.
    /// </summary>
    public static void AddLayers(
        HubCheckpoint checkpoint, int layers, int size, int queries, int keys, bool bias = false, bool outputBias = false,
        Action<string>? add = null, string model = "model.")
    {
        checkpoint.AddMatrix(model + "embed_tokens.weight", 5, size).AddNorm(model + "norm.weight", size);
        for (int n = 0; n < layers; n++)
        {
            string prefix = $"{model}layers.{n}.self_attn.";
            checkpoint.AddLinear(prefix + "q_proj", queries, size, bias).AddLinear(prefix + "k_proj", keys, size, bias)
                .AddLinear(prefix + "v_proj", keys, size, bias).AddLinear(prefix + "o_proj", size, queries, outputBias)
                .AddNorm($"{model}layers.{n}.input_layernorm.weight", size).AddMatrix($"{model}layers.{n}.mlp.gate_proj.weight", 8, size);
            add?.Invoke(prefix);
        }
    }
}
