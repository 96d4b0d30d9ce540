using System.Diagnostics;
using System.Numerics.Tensors;
using System.Text.Json;
using AttentionGpu.Serialization;

namespace AttentionGpu.Cli.Verify;

/// <summary>
/// The published node cases of the ONNX operator <c>Attention</c> (opset 23 to 25), from a folder with <c>cases.json</c> and a safetensors
/// file a case.
/// </summary>
internal static class OnnxCases
{
    private const string IndexFile = "cases.json";

    /// <summary>Reads the list of cases.</summary>
    /// <exception cref="InvalidDataException">The folder's list is malformed.</exception>
    public static IReadOnlyList<VerifyCase> Load(string folder)
    {
        string path = Path.Combine(folder, IndexFile);
        try
        {
            OnnxNode[] nodes = JsonSerializer.Deserialize<OnnxNode[]>(File.ReadAllBytes(path), OnnxNode.JsonOptions) ?? [];
            if (nodes.Length == 0)
                throw new InvalidDataException($"'{path}' lists no cases.");
            return [.. nodes.Select(node => new VerifyCase(node.Name, engine => Run(engine, node, folder)))];
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{path}' is not a list of cases: {exception.Message}", exception);
        }
    }

    private static VerifyOutcome Run(AttentionEngine engine, OnnxNode node, string folder)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, node.Name + ".safetensors"));
        return node.Unsupported is string reason
            ? new VerifyOutcome(node.Name, VerifyStatus.Skipped, null, 0.0, reason)
            : file.Entries["input.Q"].Type switch
            {
                SafetensorsType.F16 => Run(engine, node, file, value => (Half)value, value => (float)value, VerifyOutcome.Float16Tolerance),
                SafetensorsType.BF16 => Run(engine, node, file, value => (BFloat16)value, value => value, VerifyOutcome.BFloat16Tolerance),
                _ => Run(engine, node, file, value => value, value => value, VerifyOutcome.Tolerance),
            };
    }

    private static VerifyOutcome Run<T>(
        AttentionEngine engine, OnnxNode node, SafetensorsFile file, Converter<float, T> store, Converter<T, float> load, double tolerance)
        where T : unmanaged
    {
        Tensor<T>? Read(string name) =>
            node.Inputs.Contains(name) ? Convert(file.Read("input." + name), store) : null;
        Tensor<T>? Output(string name)
        {
            if (!node.Outputs.Contains(name))
                return null;
            Tensor<float> expected = file.Read("output." + name);
            return Convert(Tensor.Create(Enumerable.Repeat(float.NaN, (int)expected.FlattenedLength).ToArray(), expected.Lengths), store);
        }

        Dictionary<string, Tensor<T>?> outputs = node.Outputs.Where(name => name.Length > 0).ToDictionary(name => name, Output);
        int[] keyLengths = node.Inputs.Contains("nonpad_kv_seqlen") ? [.. file.ReadInt64("input.nonpad_kv_seqlen").Select(length => (int)length)] : [];
        Tensor<T> query = Read("Q")!;
        var inputs = new AttentionInputs<T>
        {
            Query = query,
            Key = Read("K")!,
            Value = Read("V")!,
            PastKey = Read("past_key"),
            PastValue = Read("past_value"),
            KeyLengths = keyLengths,
            Mask = node.Inputs.Contains("attn_mask") ? ReadMask(file) : default,
        };
        long start = Stopwatch.GetTimestamp();
        engine.ScaledDotProductAttention(
            inputs,
            new AttentionOutputs<T>
            {
                Output = outputs["Y"]!,
                PresentKey = outputs.GetValueOrDefault("present_key"),
                PresentValue = outputs.GetValueOrDefault("present_value"),
                Scores = outputs.GetValueOrDefault("qk_matmul_output"),
                ScoreStage = node.ScoreStage,
            },
            node.Options(isThreeAxes: query.Rank == 3, hasKeyLengths: keyLengths.Length > 0));
        double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;

        VerifyOutcome[] outcomes =
        [
            .. outputs.Select(output => VerifyOutcome.Compare(
                node.Name, Array.ConvertAll(Flatten(output.Value!), load), Flatten(file.Read("output." + output.Key)), milliseconds, tolerance) with
            {
                Note = output.Key,
            }),
        ];
        VerifyOutcome worst = outcomes.OrderBy(outcome => outcome.Status == VerifyStatus.Passed).ThenByDescending(outcome => outcome.Error).First();
        return worst.Status == VerifyStatus.Passed ? worst with { Note = null } : worst;
    }

    private static AttentionMask ReadMask(SafetensorsFile file)
    {
        const string name = "input.attn_mask";
        return file.Entries[name].Type == SafetensorsType.Bool ? file.ReadBoolean(name) : file.Read(name);
    }

    private static Tensor<T> Convert<T>(Tensor<float> tensor, Converter<float, T> convert) =>
        Tensor.Create(Array.ConvertAll(Flatten(tensor), convert), tensor.Lengths);

    private static T[] Flatten<T>(Tensor<T> tensor)
    {
        var values = new T[tensor.FlattenedLength];
        tensor.FlattenTo(values);
        return values;
    }
}
