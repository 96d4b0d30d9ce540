using System.Buffers;
using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Text.Json;
using AttentionGpu.Tensors;

namespace AttentionGpu.Serialization;

/// <summary>Writes tensors of one element type in the safetensors format, in the order of their names.</summary>
internal static class SafetensorsWriter
{
    // The format's own writer pads the header so that the data starts at a multiple of this.
    private const int Alignment = 8;

    public static void Write<T>(Stream stream, IReadOnlyDictionary<string, Tensor<T>> tensors)
        where T : unmanaged
    {
        (string Name, Tensor<T> Tensor)[] ordered =
            [.. tensors.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => (pair.Key, pair.Value))];
        byte[] header = Header(ordered);
        Span<byte> length = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
        stream.Write(length);
        stream.Write(header);
        foreach ((_, Tensor<T> tensor) in ordered)
            HostCopy.Write<T>(stream, tensor.AsReadOnlyTensorSpan());
    }

    private static byte[] Header<T>(IEnumerable<(string Name, Tensor<T> Tensor)> tensors)
        where T : unmanaged
    {
        string type = SafetensorsElements.TypeOf<T>().ToString();
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            long position = 0;
            json.WriteStartObject();
            foreach ((string name, Tensor<T> tensor) in tensors)
            {
                json.WriteStartObject(name);
                json.WriteString("dtype", type);
                json.WriteStartArray("shape");
                foreach (nint axis in tensor.Lengths)
                    json.WriteNumberValue(axis);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(position);
                position += tensor.FlattenedLength * Unsafe.SizeOf<T>();
                json.WriteNumberValue(position);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        int padding = -buffer.WrittenCount & (Alignment - 1);
        buffer.GetSpan(padding)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        return buffer.WrittenSpan.ToArray();
    }
}
