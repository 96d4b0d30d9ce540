using System.Numerics.Tensors;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Tests.Support;

/// <summary>ONNX Runtime's answers: an implementation that shares nothing with ours.</summary>
internal static class OnnxRuntimeOracle
{
    private const int Opset = 23;

    /// <summary>A whole layer: projections, <c>Attention</c> on three axes, projection.</summary>
    public static Tensor<float> Layer(
        MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights, Tensor<float> query, Tensor<float> key, Tensor<float> value,
        Causal causal)
    {
        var model = new OnnxModel();
        var values = new Dictionary<string, OrtValue>();
        string Project(string name, Tensor<float> input, Tensor<float> weight, Tensor<float>? bias) =>
            AddLinear(model, values, name, Add(model, values, name + "_x", input), weight, bias);
        string attended = model.AddNode(
            "Attention",
            [
                Project("q", query, weights.Query, weights.QueryBias),
                Project("k", key, weights.Key, weights.KeyBias),
                Project("v", value, weights.Value, weights.ValueBias),
            ],
            ["attended"],
            ("q_num_heads", config.Heads),
            ("kv_num_heads", config.KeyValueHeads ?? config.Heads),
            ("is_causal", causal == Causal.TopLeft ? 1 : 0));
        string output = AddLinear(model, values, "o", attended, weights.Output, weights.OutputBias);
        return Run(model, values, output)[0];
    }

    /// <summary>A linear layer.</summary>
    public static Tensor<float> Linear(Tensor<float> input, Tensor<float> weight, Tensor<float>? bias)
    {
        var model = new OnnxModel();
        var values = new Dictionary<string, OrtValue>();
        return Run(model, values, AddLinear(model, values, "y", Add(model, values, "x", input), weight, bias))[0];
    }

    private static string AddLinear(
        OnnxModel model, Dictionary<string, OrtValue> values, string name, string input, Tensor<float> weight, Tensor<float>? bias)
    {
        string transposed = model.AddNode(
            "Transpose", [Add(model, values, name + "_weight", weight)], [name + "_transposed"]);
        string product = model.AddNode("MatMul", [input, transposed], [name + "_product"]);
        return bias is null
            ? product
            : model.AddNode("Add", [product, Add(model, values, name + "_bias", bias)], [name + "_sum"]);
    }

    /// <summary>Adds a tensor as an input of the graph.</summary>
    public static string Add<T>(OnnxModel model, Dictionary<string, OrtValue> values, string name, Tensor<T> tensor)
        where T : unmanaged
    {
        values.Add(name, OrtValue.CreateTensorValueFromMemory(Data.Flat(tensor), [.. tensor.Lengths.ToArray().Select(length => (long)length)]));
        return model.AddInput<T>(name, tensor.Lengths);
    }

    /// <summary>Runs a graph, and returns outputs by name.</summary>
    public static Tensor<float>[] Run(OnnxModel model, Dictionary<string, OrtValue> values, params string[] outputs) =>
        Run(model, values, Opset, outputs);

    /// <summary>The same of an opset of its own.</summary>
    public static Tensor<float>[] Run(OnnxModel model, Dictionary<string, OrtValue> values, int opset, params string[] outputs)
    {
        using var options = new SessionOptions { IntraOpNumThreads = 1, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
        using var session = new InferenceSession(model.Build(opset, outputs), options);
        using var runOptions = new RunOptions();
        try
        {
            using IDisposableReadOnlyCollection<OrtValue> results = session.Run(runOptions, values, outputs);
            return
            [
                .. results.Select(result => Tensor.Create(
                    result.GetTensorDataAsSpan<float>().ToArray(),
                    [.. result.GetTensorTypeAndShape().Shape.Select(length => (nint)length)])),
            ];
        }
        finally
        {
            foreach (OrtValue value in values.Values)
                value.Dispose();
        }
    }
}
