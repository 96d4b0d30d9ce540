using System.Text;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Tests.Models;

/// <summary>Runs an ONNX model in ONNX Runtime and returns tensors between its nodes too.</summary>
internal sealed class InnerTensors : IDisposable
{
    private readonly InferenceSession _session;
    private readonly string[] _names;

    /// <param name="path">The model.</param>
    /// <param name="names">The tensors.</param>
    public InnerTensors(string path, params string[] names)
    {
        _names = names;
        using var model = new MemoryStream();
        using (FileStream file = File.OpenRead(path))
            file.CopyTo(model);

        // Of a message that comes twice, the parts are joined: the graph (field 7 of ModelProto) gets these outputs (12) by name (1).
        byte[] graph = [.. names.SelectMany(name => Field(12, Field(1, Encoding.UTF8.GetBytes(name))))];
        model.Write(Field(7, graph));
        using var options = new SessionOptions { GraphOptimizationLevel = GraphOptimizationLevel.ORT_DISABLE_ALL };
        _session = new InferenceSession(model.ToArray(), options);
    }

    /// <summary>The tensors for inputs: their elements and lengths, in the order of the names.</summary>
    public (float[] Values, long[] Lengths)[] Run(params (string Name, OrtValue Value)[] inputs)
    {
        using var run = new RunOptions();
        using IDisposableReadOnlyCollection<OrtValue> outputs =
            _session.Run(run, [.. inputs.Select(input => input.Name)], [.. inputs.Select(input => input.Value)], _names);
        foreach ((_, OrtValue value) in inputs)
            value.Dispose();
        return [.. outputs.Select(output => (output.GetTensorDataAsSpan<float>().ToArray(), output.GetTensorTypeAndShape().Shape))];
    }

    public void Dispose() => _session.Dispose();

    private static byte[] Field(int number, byte[] bytes)
    {
        using var stream = new MemoryStream();
        using (var writer = new CodedOutputStream(stream, leaveOpen: true))
        {
            writer.WriteTag(number, WireFormat.WireType.LengthDelimited);
            writer.WriteBytes(ByteString.CopyFrom(bytes));
        }

        return stream.ToArray();
    }
}
