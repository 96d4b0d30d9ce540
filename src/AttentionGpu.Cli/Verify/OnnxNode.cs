using System.Text.Json;

namespace AttentionGpu.Cli.Verify;

/// <summary>One node of the published cases: its name, attributes, and the names of its inputs and outputs in order.</summary>
internal sealed record OnnxNode(
    string Name, int Opset, IReadOnlyDictionary<string, JsonElement> Attributes, IReadOnlyList<string> Inputs, IReadOnlyList<string> Outputs)
{
    private static readonly string[] _knownInputs =
        ["", "Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen"];

    // Softmax precision asks for a type at least as precise; the engine's is float32 with float32 sums, whatever the tensors are.
    private static readonly string[] _knownAttributes =
    [
        "scale", "is_causal", "q_num_heads", "kv_num_heads", "qk_matmul_output_mode", "softcap", "softmax_precision", "left_window_size",
        "right_window_size",
    ];

    public static JsonSerializerOptions JsonOptions { get; } = new() { PropertyNameCaseInsensitive = true, RespectRequiredConstructorParameters = true };

    /// <summary>Why the node cannot be run; null where it can.</summary>
    public string? Unsupported =>
        Attributes.Keys.Except(_knownAttributes).FirstOrDefault() is string attribute ? $"the attribute {attribute} is not known"
        : Inputs.Except(_knownInputs).FirstOrDefault() is string input ? $"the input {input} is not known"
        : ScoreMode is < 0 or > 3 ? $"the mode {ScoreMode} of qk_matmul_output_mode is not known"
        : null;

    /// <summary>What the node's scores are; the default where it has none.</summary>
    public ScoreStage ScoreStage => !Outputs.Contains("qk_matmul_output") ? default : ScoreMode switch
    {
        0 => ScoreStage.Products,
        1 => ScoreStage.Softcapped,
        2 => ScoreStage.Masked,
        _ => ScoreStage.Weights,
    };

    private int ScoreMode => Attribute("qk_matmul_output_mode") ?? 0;

    /// <summary>The node's attributes as options.</summary>
    /// <param name="isThreeAxes">Whether tensors are [batch, length, heads x size].</param>
    /// <param name="hasKeyLengths">Whether there is <c>nonpad_kv_seqlen</c>: queries are then the last positions of each sequence.</param>
    public AttentionOptions Options(bool isThreeAxes, bool hasKeyLengths) => new()
    {
        Scale = Number("scale"),
        Causal = Attribute("is_causal") != 1 ? Causal.None : hasKeyLengths ? Causal.BottomRight : Causal.TopLeft,
        Softcap = Number("softcap") is float cap && cap != 0f ? cap : null,
        Window = WindowSide("left_window_size") is null && WindowSide("right_window_size") is null
            ? null
            : new AttentionWindow
            {
                Left = WindowSide("left_window_size"),
                Right = WindowSide("right_window_size"),
                Alignment = hasKeyLengths ? QueryAlignment.BottomRight : QueryAlignment.TopLeft,
            },
        Layout = isThreeAxes ? AttentionLayout.BatchLengthHeads : AttentionLayout.BatchHeadsLength,
        Heads = Attribute("q_num_heads"),
        KeyValueHeads = Attribute("kv_num_heads"),
    };

    // -1 is as far as there are keys.
    private int? WindowSide(string name) => Attribute(name) is int side && side >= 0 ? side : null;

    private int? Attribute(string name) => Attributes.TryGetValue(name, out JsonElement value) ? value.GetInt32() : null;

    private float? Number(string name) => Attributes.TryGetValue(name, out JsonElement value) ? value.GetSingle() : null;
}
