using System.Buffers;
using System.Buffers.Binary;
using System.Numerics.Tensors;
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
        stream.Write(CreateHeader<T>(tensors.ToDictionary(pair => pair.Key, pair => pair.Value.Lengths.ToArray())));
        foreach ((_, Tensor<T> tensor) in tensors.OrderBy(pair => pair.Key, StringComparer.Ordinal))
            HostCopy.Write<T>(stream, tensor.AsReadOnlyTensorSpan());
    }

    /// <summary>The bytes before the elements: the header, and its length before it.</summary>
    public static byte[] CreateHeader<T>(IReadOnlyDictionary<string, nint[]> lengths)
        where T : unmanaged
    {
        SafetensorsType type = SafetensorsElements.TypeOf<T>();
        return CreateHeader(
            [.. lengths.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => (pair.Key, type, pair.Value))]);
    }

    /// <summary>The same for tensors of several types, whose elements follow in this order.</summary>
    public static byte[] CreateHeader(IReadOnlyList<(string Name, SafetensorsType Type, nint[] Lengths)> tensors)
    {
        var buffer = new ArrayBufferWriter<byte>();
        buffer.GetSpan(sizeof(ulong))[..sizeof(ulong)].Clear();
        buffer.Advance(sizeof(ulong));
        using (var json = new Utf8JsonWriter(buffer))
        {
            long position = 0;
            json.WriteStartObject();
            foreach ((string name, SafetensorsType type, nint[] axes) in tensors)
            {
                Check(name, axes);
                json.WriteStartObject(name);
                json.WriteString("dtype", type.Name());
                json.WriteStartArray("shape");
                foreach (nint axis in axes)
                    json.WriteNumberValue(axis);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(position);
                position = checked(position + axes.Aggregate((long)type.Size(), (bytes, axis) => checked(bytes * axis)));
                json.WriteNumberValue(position);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        int padding = -buffer.WrittenCount & (Alignment - 1);
        buffer.GetSpan(padding)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        byte[] header = buffer.WrittenSpan.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - sizeof(ulong));
        return header;
    }

    private static void Check(string name, nint[] axes)
    {
        if (axes.Length > SafetensorsHeader.MaxRank)
            throw new ArgumentException($"'{Excerpt.Of(name)}' must have at most {SafetensorsHeader.MaxRank} axes; it has {axes.Length}.");
        if (Array.Find(axes, axis => axis < 0) is var negative and < 0)
            throw new ArgumentException($"The lengths of '{Excerpt.Of(name)}' must be 0 or more; one was {negative}.");
    }
}
