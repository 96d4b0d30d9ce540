using System.Text.Json;

namespace AttentionGpu.Cli.Verify;

/// <summary>One node of the published cases: its name, attributes, and the names of its inputs and outputs in order.</summary>
internal sealed record OnnxNode(
    string Name, int Opset, IReadOnlyDictionary<string, JsonElement> Attributes, IReadOnlyList<string> Inputs, IReadOnlyList<string> Outputs)
{
    public static JsonSerializerOptions JsonOptions { get; } = new() { PropertyNameCaseInsensitive = true, RespectRequiredConstructorParameters = true };

    /// <summary>An integer attribute; null where the node has none.</summary>
    public int? Attribute(string name) => Attributes.TryGetValue(name, out JsonElement value) ? value.GetInt32() : null;
}
