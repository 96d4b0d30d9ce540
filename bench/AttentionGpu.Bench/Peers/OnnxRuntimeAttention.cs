using AttentionGpu.Tests.Support;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Bench.Peers;

/// <summary>ONNX Runtime's operator <c>Attention</c> (opset 23) on given tensors.</summary>
internal sealed class OnnxRuntimeAttention : IDisposable
{
    private const int Opset = 23;

    private static readonly string[] _inputNames = ["query", "key", "value"];
    private static readonly string[] _outputNames = ["output"];

    private readonly SessionOptions _options;
    private readonly InferenceSession _session;
    private readonly RunOptions _runOptions = new();
    private readonly OrtValue[] _inputs;
    private readonly OrtValue[] _outputs;

    public OnnxRuntimeAttention(nint[] lengths, bool causal, int threads, float[] query, float[] key, float[] value, float[] output)
    {
        var model = new OnnxModel();
        model.AddNode(
            "Attention", [.. _inputNames.Select(name => model.AddInput(name, lengths))], _outputNames, ("is_causal", causal ? 1 : 0));
        _options = new SessionOptions { IntraOpNumThreads = threads };
        _session = new InferenceSession(model.Build(Opset, _outputNames), _options);
        long[] shape = [.. lengths.Select(length => (long)length)];
        _inputs = [.. new[] { query, key, value }.Select(values => OrtValue.CreateTensorValueFromMemory(values, shape))];
        _outputs = [OrtValue.CreateTensorValueFromMemory(output, shape)];
    }

    public void Run() => _session.Run(_runOptions, _inputNames, _inputs, _outputNames, _outputs);

    public void Dispose()
    {
        foreach (OrtValue value in _inputs.Concat(_outputs))
            value.Dispose();
        _runOptions.Dispose();
        _session.Dispose();
        _options.Dispose();
    }
}
