using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace AttentionGpu.Serialization;

/// <summary>Reads the elements of tensors from a stream. May be used from many threads at once, by one object for a stream.</summary>
/// <param name="stream">The file.</param>
/// <param name="origin">The position from which the places of tensors count.</param>
/// <param name="path">The file's path, for messages.</param>
/// <param name="malformed">The exception for a file that is not as its entries say.</param>
internal sealed class TensorData(Stream stream, long origin, string path, Func<string, Exception?, InvalidDataException> malformed)
{
    // Converted at a time, so that a tensor is in memory once.
    private const int ConvertedElements = 1 << 16;

    private readonly Lock _lock = new();

    /// <summary>The lengths of a tensor that is read: [1] for a scalar, because a tensor of rank 0 would be an empty one.</summary>
    public static nint[] Axes(SafetensorsEntry entry) => entry.Lengths.Count == 0 ? [1] : [.. entry.Lengths];

    /// <summary>Requires that elements can be read as <typeparamref name="T"/>.</summary>
    /// <exception cref="InvalidDataException">They cannot.</exception>
    public static void Require<T>(SafetensorsEntry entry, bool round, string path)
        where T : unmanaged
    {
        SafetensorsType own = SafetensorsElements.TypeOf<T>();
        if (entry.Type == own || SafetensorsElements.IsExact<T>(entry.Type) || (round && SafetensorsElements.IsFloat(entry.Type)))
            return;
        throw new InvalidDataException(
            $"The tensor '{Excerpt.Of(entry.Name)}' in '{path}' has elements of type {Excerpt.Of(entry.TypeName)}; "
            + $"{SafetensorsElements.Readable<T>(round)} can be read as {typeof(T).Name}{(round ? "" : " without rounding")}.");
    }

    /// <summary>Elements of a tensor.</summary>
    /// <exception cref="InvalidDataException">They are more than an array has.</exception>
    public int Count(SafetensorsEntry entry)
    {
        RequireArray(entry);
        return (int)((entry.End - entry.Start) / entry.Type.Size());
    }

    /// <summary>Reads a tensor.</summary>
    /// <exception cref="InvalidDataException">Its elements cannot be read as <typeparamref name="T"/>.</exception>
    public Tensor<T> Read<T>(SafetensorsEntry entry, bool round)
        where T : unmanaged
    {
        Require<T>(entry, round, path);
        var values = new T[Count(entry)];
        Read(entry, values.AsSpan());
        return Tensor.Create(values, Axes(entry));
    }

    /// <summary>Reads all elements of a tensor, of a type that <see cref="Require"/> lets pass.</summary>
    public void Read<T>(SafetensorsEntry entry, Span<T> values)
        where T : unmanaged
    {
        if (entry.Type == SafetensorsElements.TypeOf<T>())
        {
            ReadExactly(MemoryMarshal.AsBytes(values), entry.Start);
            return;
        }

        int size = entry.Type.Size();
        var bytes = new byte[Math.Min(ConvertedElements, values.Length) * size];
        for (int start = 0; start < values.Length; start += ConvertedElements)
        {
            int count = Math.Min(ConvertedElements, values.Length - start);
            Span<byte> piece = bytes.AsSpan(0, count * size);
            ReadExactly(piece, entry.Start + (long)start * size);
            SafetensorsElements.Convert(piece, entry.Type, values.Slice(start, count));
        }
    }

    /// <summary>Reads a tensor's bytes as they are.</summary>
    public byte[] ReadBytes(SafetensorsEntry entry)
    {
        RequireArray(entry);
        var bytes = new byte[entry.End - entry.Start];
        ReadExactly(bytes, entry.Start);
        return bytes;
    }

    /// <summary>Reads bytes from an offset behind the origin on.</summary>
    /// <exception cref="InvalidDataException">The file has fewer.</exception>
    public void ReadExactly(Span<byte> buffer, long offset)
    {
        lock (_lock)
        {
            stream.Position = origin + offset;
            if (stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false) < buffer.Length)
                throw malformed("it ended before its data; was it changed while it was read?", null);
        }
    }

    private void RequireArray(SafetensorsEntry entry)
    {
        long byteLength = entry.End - entry.Start;
        if (byteLength > Array.MaxLength)
            throw new InvalidDataException(
                $"The tensor '{Excerpt.Of(entry.Name)}' in '{path}' has {byteLength:N0} bytes; at most {Array.MaxLength:N0} can be read.");
    }
}
