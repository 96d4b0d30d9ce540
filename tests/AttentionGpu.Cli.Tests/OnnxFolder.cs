using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace AttentionGpu.Cli.Tests;

/// <summary>A tensor of a safetensors file as it is stored.</summary>
internal sealed record StoredTensor(string Type, int[] Shape, byte[] Bytes)
{
    public static StoredTensor Float32(int[] shape, params float[] values) => Of("F32", shape, values);

    public static StoredTensor Float16(int[] shape, params float[] values) =>
        Of("F16", shape, Array.ConvertAll(values, value => (Half)value));

    public static StoredTensor BFloat16(int[] shape, params float[] values) =>
        Of("BF16", shape, Array.ConvertAll(values, value => (BFloat16)value));

    public static StoredTensor Boolean(int[] shape, params bool[] values) => Of("BOOL", shape, values);

    public static StoredTensor Int64(int[] shape, params long[] values) => Of("I64", shape, values);

    private static StoredTensor Of<T>(string type, int[] shape, T[] values)
        where T : unmanaged => new(type, shape, MemoryMarshal.AsBytes<T>(values).ToArray());
}

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
