using System.Buffers.Binary;
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
        Write(_folder[name + ".safetensors"],
        [
            .. inputs.Where(one => one.Tensor is not null).Select(one => ("input." + one.Name, one.Tensor!)),
            .. outputs.Where(one => one.Tensor is not null).Select(one => ("output." + one.Name, one.Tensor!)),
        ]);
    }

    public void WriteIndex(string json) => File.WriteAllText(_folder["cases.json"], json);

    public void Dispose() => _folder.Dispose();

    // Eight bytes with the header's length, the header in JSON, the tensors one after another.
    private static void Write(string path, (string Name, StoredTensor Tensor)[] tensors)
    {
        var header = new Dictionary<string, object>();
        long offset = 0;
        foreach ((string name, StoredTensor tensor) in tensors)
        {
            header[name] = new { dtype = tensor.Type, shape = tensor.Shape, data_offsets = new[] { offset, offset + tensor.Bytes.Length } };
            offset += tensor.Bytes.Length;
        }

        byte[] json = JsonSerializer.SerializeToUtf8Bytes(header);
        byte[] length = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(length, json.Length);
        File.WriteAllBytes(path, [.. length, .. json, .. tensors.SelectMany(one => one.Tensor.Bytes)]);
    }
}
