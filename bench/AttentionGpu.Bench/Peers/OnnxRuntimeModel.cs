using AttentionGpu.Tests.Support;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Bench.Peers;

/// <summary>A model of a few nodes in ONNX Runtime, on tensors in the caller's memory.</summary>
internal sealed class OnnxRuntimeModel : IPeer
{
    public const string Name = "ONNX Runtime";

    private const int Opset = 23;

    private readonly SessionOptions _options;
    private readonly InferenceSession _session;
    private readonly RunOptions _runOptions = new();
    private readonly (string Name, OrtValue Value)[] _inputs;
    private readonly (string Name, OrtValue Value)[] _outputs;
    private readonly Func<float[]> _output;

    /// <param name="model">The model.</param>
    /// <param name="threads">Its threads.</param>
    /// <param name="inputs">Its inputs.</param>
    /// <param name="output">What it has written, in our order.</param>
    /// <param name="outputs">Where it writes.</param>
    public OnnxRuntimeModel(
        OnnxModel model, int threads, (string Name, OrtValue Value)[] inputs, Func<float[]> output, params (string Name, OrtValue Value)[] outputs)
    {
        _output = output;
        _inputs = inputs;
        _outputs = outputs;
        _options = new SessionOptions { IntraOpNumThreads = threads };
        _session = new InferenceSession(model.Build(Opset, [.. outputs.Select(output => output.Name)]), _options);
    }

    public string Library => Name;

    /// <summary>A tensor in memory that stays the caller's.</summary>
    public static OrtValue Tensor<T>(T[] values, params ReadOnlySpan<nint> lengths)
        where T : unmanaged =>
        OrtValue.CreateTensorValueFromMemory(values, Array.ConvertAll(lengths.ToArray(), length => (long)length));

    public void Run() => _session.Run(
        _runOptions,
        [.. _inputs.Select(input => input.Name)],
        [.. _inputs.Select(input => input.Value)],
        [.. _outputs.Select(output => output.Name)],
        [.. _outputs.Select(output => output.Value)]);

    public float[] Output() => _output();

    public void Dispose()
    {
        foreach ((_, OrtValue value) in _inputs.Concat(_outputs))
            value.Dispose();
        _runOptions.Dispose();
        _session.Dispose();
        _options.Dispose();
    }
}
