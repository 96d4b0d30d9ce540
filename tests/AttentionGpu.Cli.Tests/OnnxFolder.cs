using System.Text.Json;

namespace AttentionGpu.Cli.Tests;

/// <summary>A folder of ONNX cases that a test makes: one node, its tensors of any type.</summary>
internal sealed class OnnxFolder : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly List<object> _nodes = [];

    public string Path => _folder[""];

    /// <summary>Adds a node with the names of its tensors; "" is an input or output that is left out.</summary>
    public void Add(
        string name, object attributes, (string Name, StoredTensor? Tensor)[] inputs, (string Name, StoredTensor? Tensor)[] outputs)
    {
        string[] inputNames = [.. inputs.Select(one => one.Name)];
        string[] outputNames = [.. outputs.Select(one => one.Name)];
        _nodes.Add(new { name, opset = 23, attributes, inputs = inputNames, outputs = outputNames });
        File.WriteAllText(_folder["cases.json"], JsonSerializer.Serialize(_nodes));
        StoredTensor.Write(_folder[name + ".safetensors"],
        [
            .. inputs.Where(one => one.Tensor is not null).Select(one => ("input." + one.Name, one.Tensor!)),
            .. outputs.Where(one => one.Tensor is not null).Select(one => ("output." + one.Name, one.Tensor!)),
        ]);
    }

    public void WriteIndex(string json) => File.WriteAllText(_folder["cases.json"], json);

    public void Dispose() => _folder.Dispose();
}
