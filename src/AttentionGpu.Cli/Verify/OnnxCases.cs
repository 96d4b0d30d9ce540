using System.Diagnostics;
using System.Numerics.Tensors;
using System.Text.Json;
using AttentionGpu.Serialization;

namespace AttentionGpu.Cli.Verify;

/// <summary>
/// The published node cases of the ONNX operator <c>Attention</c> (opset 23 to 25), from a folder with <c>cases.json</c> and a safetensors
/// file a case. What the engine cannot do yet is skipped, with the reason.
/// </summary>
internal static class OnnxCases
{
    private const string IndexFile = "cases.json";
    private const int WeightsMode = 3;

    /// <summary>Reads the list of cases.</summary>
    /// <exception cref="InvalidDataException">The folder's list is malformed.</exception>
    public static IReadOnlyList<VerifyCase> Load(string folder)
    {
        string path = Path.Combine(folder, IndexFile);
        try
        {
            OnnxNode[] nodes = JsonSerializer.Deserialize<OnnxNode[]>(File.ReadAllBytes(path), OnnxNode.JsonOptions) ?? [];
            return [.. nodes.Select(node => new VerifyCase(node.Name, engine => Run(engine, node, folder)))];
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{path}' is not a list of cases: {exception.Message}", exception);
        }
    }

    private static VerifyOutcome Run(AttentionEngine engine, OnnxNode node, string folder)
    {
        if (Unsupported(node) is string reason)
            return new VerifyOutcome(node.Name, VerifyStatus.Skipped, null, 0.0, reason);
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, node.Name + ".safetensors"));
        if (file.Entries.Values.Any(entry => entry.Type == SafetensorsType.F16))
            return new VerifyOutcome(node.Name, VerifyStatus.Skipped, null, 0.0, "float16 is not supported yet");

        Tensor<float> query = SplitHeads(file.Read("input.Q"), node.Attribute("q_num_heads"));
        Tensor<float> key = SplitHeads(file.Read("input.K"), node.Attribute("kv_num_heads"));
        Tensor<float> value = SplitHeads(file.Read("input.V"), node.Attribute("kv_num_heads"));
        Tensor<float> expected = file.Read("output.Y");
        Tensor<float> output = Tensor.CreateFromShape<float>([query.Lengths[0], query.Lengths[1], query.Lengths[2], value.Lengths[3]]);
        output.Fill(float.NaN);
        bool needsWeights = node.Outputs.Contains("qk_matmul_output");
        Tensor<float> weights = Tensor.CreateFromShape<float>(
            needsWeights ? [query.Lengths[0], query.Lengths[1], query.Lengths[2], key.Lengths[2]] : [0]);
        weights.Fill(float.NaN);
        var options = new AttentionOptions
        {
            Scale = node.Attributes.TryGetValue("scale", out JsonElement scale) ? scale.GetSingle() : null,
            Causal = node.Attribute("is_causal") == 1 ? Causal.TopLeft : Causal.None,
        };

        long start = Stopwatch.GetTimestamp();
        Attend(engine, file, query, key, value, output, needsWeights ? weights : null, options);
        double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        float[] actual = Flatten(expected.Rank == 3 ? JoinHeads(output) : output);
        VerifyOutcome outcome = VerifyOutcome.Compare(node.Name, actual, Flatten(expected), milliseconds);
        return needsWeights && outcome.Status == VerifyStatus.Passed
            ? VerifyOutcome.Compare(node.Name, Flatten(weights), Flatten(file.Read("output.qk_matmul_output")), milliseconds)
            : outcome;
    }

    private static void Attend(
        AttentionEngine engine, SafetensorsFile file, Tensor<float> query, Tensor<float> key, Tensor<float> value,
        Tensor<float> output, Tensor<float>? weights, AttentionOptions options)
    {
        AttentionMask mask = default;
        if (file.Entries.TryGetValue("input.attn_mask", out SafetensorsEntry? entry))
        {
            mask = entry.Type == SafetensorsType.Bool
                ? new AttentionMask(file.ReadBoolean(entry.Name).AsReadOnlyTensorSpan())
                : new AttentionMask(file.Read(entry.Name).AsReadOnlyTensorSpan());
        }

        if (weights is null)
        {
            engine.ScaledDotProductAttention(
                query.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), value.AsReadOnlyTensorSpan(), output.AsTensorSpan(), options, mask);
        }
        else
        {
            engine.ScaledDotProductAttentionWithWeights(
                query.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), value.AsReadOnlyTensorSpan(), output.AsTensorSpan(),
                weights.AsTensorSpan(), averageHeads: false, options, mask);
        }
    }

    private static string? Unsupported(OnnxNode node)
    {
        if (node.Inputs.Any(input => input is "past_key" or "past_value"))
            return "past keys and values are not supported yet";
        if (node.Inputs.Contains("nonpad_kv_seqlen"))
            return "per-batch key lengths are not supported yet";
        if (node.Outputs.Contains("qk_matmul_output") && node.Attribute("qk_matmul_output_mode") != WeightsMode)
            return "scores before the softmax are not supported yet";
        string[] known = ["scale", "is_causal", "q_num_heads", "kv_num_heads", "qk_matmul_output_mode"];
        return node.Attributes.Keys.FirstOrDefault(name => !known.Contains(name)) is string unknown
            ? $"the attribute {unknown} is not supported yet"
            : null;
    }

    // [batch, length, heads x size] to [batch, heads, length, size].
    private static Tensor<float> SplitHeads(Tensor<float> tensor, int? heads) => tensor.Rank == 4
        ? tensor
        : Permuted(Reshaped(tensor, [tensor.Lengths[0], tensor.Lengths[1], heads!.Value, tensor.Lengths[2] / heads.Value]));

    private static Tensor<float> JoinHeads(Tensor<float> tensor) =>
        Reshaped(Permuted(tensor), [tensor.Lengths[0], tensor.Lengths[2], tensor.Lengths[1] * tensor.Lengths[3]]);

    // Tensor.Reshape refuses some shapes with axes of length 1.
    private static Tensor<float> Reshaped(Tensor<float> tensor, ReadOnlySpan<nint> lengths) => Tensor.Create(Flatten(tensor), lengths);

    private static Tensor<float> Permuted(Tensor<float> tensor) => Tensor.PermuteDimensions(tensor, [0, 2, 1, 3]).ToDenseTensor();

    private static float[] Flatten(Tensor<float> tensor)
    {
        var values = new float[tensor.FlattenedLength];
        tensor.FlattenTo(values);
        return values;
    }
}
