using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace AttentionGpu.Cli.Files;

/// <summary>An element type of a NumPy array that is read: its name, such as <c>&lt;f4</c>, and how its numbers are converted.</summary>
/// <param name="Name">The order of bytes, a letter for the kind, and the bytes of an element.</param>
/// <param name="Size">Bytes of an element.</param>
/// <param name="ToSingle">Makes float32 numbers of the bytes of as many elements, in the order of this machine.</param>
/// <param name="ToWhole">Makes whole numbers of them; null for a floating-point type.</param>
internal sealed record NumPyType(string Name, int Size, NumPyType.Converter<float> ToSingle, NumPyType.Converter<long>? ToWhole)
{
    // Elements that are read at a time.
    private const int Chunk = 1 << 16;

    internal delegate void Converter<TTarget>(ReadOnlySpan<byte> bytes, Span<TTarget> values);

    /// <summary>The kind and the size of the elements: the name without the order of bytes.</summary>
    public string Kind => Name[1..];

    /// <summary>The type of a name; null where it is not read.</summary>
    public static NumPyType? Parse(string name)
    {
        if (name.Length < 2 || name[0] is not ('<' or '>' or '=' or '|'))
            return null;
        return name[1..] switch
        {
            "f2" => Of<Half>(name, value => (float)value),
            "f4" => Of<float>(name, value => value),
            "f8" => Of<double>(name, value => (float)value),
            "i1" => Of<sbyte>(name, value => value, value => value),
            "i2" => Of<short>(name, value => value, value => value),
            "i4" => Of<int>(name, value => value, value => value),
            "i8" => Of<long>(name, value => value, value => value),
            "u1" => Of<byte>(name, value => value, value => value),
            "u2" => Of<ushort>(name, value => value, value => value),
            "u4" => Of<uint>(name, value => value, value => value),
            "u8" => Of<ulong>(name, value => value, value => (long)Math.Min(value, long.MaxValue)),
            "b1" => Of<byte>(name, value => value == 0 ? 0f : 1f, value => value == 0 ? 0 : 1),
            _ => null,
        };
    }

    /// <summary>What elements of a type that is not read are.</summary>
    public static string Describe(string name) => name.TrimStart('<', '>', '=', '|').FirstOrDefault() switch
    {
        'c' => "complex numbers",
        'f' => "floats of another size",
        'O' => "Python objects",
        'U' or 'S' or 'a' => "texts",
        'V' => "bytes without a meaning, or bfloat16",
        'M' => "dates",
        'm' => "spans of time",
        _ => "of an unknown type",
    };

    /// <summary>Reads elements from a stream that has at least as many.</summary>
    public void Read<TTarget>(Stream stream, Converter<TTarget> convert, Span<TTarget> target)
    {
        var bytes = new byte[Size * Math.Min(Chunk, target.Length)];
        for (int start = 0; start < target.Length; start += Chunk)
        {
            int count = Math.Min(Chunk, target.Length - start);
            Span<byte> part = bytes.AsSpan(0, Size * count);
            stream.ReadExactly(part);
            if (Size > 1 && Name[0] == (BitConverter.IsLittleEndian ? '>' : '<'))
                Reverse(part);
            convert(part, target.Slice(start, count));
        }
    }

    private void Reverse(Span<byte> bytes)
    {
        switch (Size)
        {
            case sizeof(ushort):
                Span<ushort> shorts = MemoryMarshal.Cast<byte, ushort>(bytes);
                BinaryPrimitives.ReverseEndianness(shorts, shorts);
                break;
            case sizeof(uint):
                Span<uint> ints = MemoryMarshal.Cast<byte, uint>(bytes);
                BinaryPrimitives.ReverseEndianness(ints, ints);
                break;
            default:
                Span<ulong> longs = MemoryMarshal.Cast<byte, ulong>(bytes);
                BinaryPrimitives.ReverseEndianness(longs, longs);
                break;
        }
    }

    private static NumPyType Of<T>(string name, Func<T, float> toSingle, Func<T, long>? toWhole = null)
        where T : unmanaged =>
        new(name, Unsafe.SizeOf<T>(), Make(toSingle), toWhole is null ? null : Make(toWhole));

    private static Converter<TTarget> Make<T, TTarget>(Func<T, TTarget> convert)
        where T : unmanaged => (bytes, values) =>
        {
            ReadOnlySpan<T> elements = MemoryMarshal.Cast<byte, T>(bytes);
            for (int i = 0; i < values.Length; i++)
                values[i] = convert(elements[i]);
        };
}
