using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
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

    public static StoredTensor UInt8(int[] shape, params byte[] values) => Of("U8", shape, values);

    public static StoredTensor Int32(int[] shape, params int[] values) => Of("I32", shape, values);

    public static StoredTensor Int64(int[] shape, params long[] values) => Of("I64", shape, values);

    /// <summary>
    /// Writes a safetensors file: eight bytes with the header's length, the header in JSON, the tensors one after another.
    /// </summary>
    public static void Write(string path, params (string Name, StoredTensor Tensor)[] tensors)
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

    /// <summary>
    /// Writes a NumPy file of format 1.0: magic, version, the header's length, the header padded to 128 bytes in all, the elements.
    /// </summary>
    public static void WriteNumPy<T>(string path, string type, T[] values, string shape, string fortranOrder = "False")
        where T : unmanaged
    {
        string header = $"{{'descr': '{type}', 'fortran_order': {fortranOrder}, 'shape': {shape}, }}".PadRight(117) + "\n";
        File.WriteAllBytes(path, [0x93, .. "NUMPY"u8, 1, 0, 118, 0, .. Encoding.ASCII.GetBytes(header), .. MemoryMarshal.AsBytes<T>(values)]);
    }

    private static StoredTensor Of<T>(string type, int[] shape, T[] values)
        where T : unmanaged => new(type, shape, MemoryMarshal.AsBytes<T>(values).ToArray());
}
