namespace AttentionGpu.Serialization;

/// <summary>
/// The element types of a safetensors file. A file may hold tensors of types that are not listed here; see <see cref="Other"/>.
/// </summary>
public enum SafetensorsType
{
    /// <summary>Boolean, one byte.</summary>
    Bool,

    /// <summary>Unsigned 8-bit integer.</summary>
    U8,

    /// <summary>Signed 8-bit integer.</summary>
    I8,

    /// <summary>8-bit float, 5 exponent bits.</summary>
    F8E5M2,

    /// <summary>8-bit float, 4 exponent bits.</summary>
    F8E4M3,

    /// <summary>Signed 16-bit integer.</summary>
    I16,

    /// <summary>Unsigned 16-bit integer.</summary>
    U16,

    /// <summary>IEEE half precision.</summary>
    F16,

    /// <summary>The upper half of a single: 8 exponent bits.</summary>
    BF16,

    /// <summary>Signed 32-bit integer.</summary>
    I32,

    /// <summary>Unsigned 32-bit integer.</summary>
    U32,

    /// <summary>IEEE single precision.</summary>
    F32,

    /// <summary>IEEE double precision.</summary>
    F64,

    /// <summary>Signed 64-bit integer.</summary>
    I64,

    /// <summary>Unsigned 64-bit integer.</summary>
    U64,

    /// <summary>
    /// A type of which nothing but its name is known, <see cref="SafetensorsEntry.TypeName"/>: complex numbers, scales (<c>F8_E8M0</c>),
    /// floats of 4 and 6 bits, and what the format gains later. The size of its elements is not checked, and they cannot be read.
    /// </summary>
    Other,
}

/// <summary>Names and sizes of the element types.</summary>
internal static class SafetensorsTypes
{
    private static readonly Dictionary<string, SafetensorsType> _byName = new()
    {
        ["BOOL"] = SafetensorsType.Bool,
        ["U8"] = SafetensorsType.U8,
        ["I8"] = SafetensorsType.I8,
        ["F8_E5M2"] = SafetensorsType.F8E5M2,
        ["F8_E4M3"] = SafetensorsType.F8E4M3,
        ["I16"] = SafetensorsType.I16,
        ["U16"] = SafetensorsType.U16,
        ["F16"] = SafetensorsType.F16,
        ["BF16"] = SafetensorsType.BF16,
        ["I32"] = SafetensorsType.I32,
        ["U32"] = SafetensorsType.U32,
        ["F32"] = SafetensorsType.F32,
        ["F64"] = SafetensorsType.F64,
        ["I64"] = SafetensorsType.I64,
        ["U64"] = SafetensorsType.U64,
    };

    /// <summary>The type of a name; <see cref="SafetensorsType.Other"/> for a name that is not known.</summary>
    public static SafetensorsType Parse(string name) => _byName.GetValueOrDefault(name, SafetensorsType.Other);

    /// <summary>The name of a type that files can be written with.</summary>
    public static string Name(this SafetensorsType type) => _byName.First(pair => pair.Value == type).Key;

    /// <summary>Bytes of an element; 0 where they are not known.</summary>
    public static int Size(this SafetensorsType type) => type switch
    {
        SafetensorsType.Bool or SafetensorsType.U8 or SafetensorsType.I8
            or SafetensorsType.F8E5M2 or SafetensorsType.F8E4M3 => 1,
        SafetensorsType.I16 or SafetensorsType.U16 or SafetensorsType.F16 or SafetensorsType.BF16 => 2,
        SafetensorsType.I32 or SafetensorsType.U32 or SafetensorsType.F32 => 4,
        SafetensorsType.Other => 0,
        _ => 8,
    };

    /// <summary>
    /// Bytes of a tensor, and its number of elements where the size of one is not known; null where it, or a stride of it, overflows.
    /// </summary>
    public static long? ByteLength(this SafetensorsType type, IReadOnlyList<long> lengths)
    {
        long size = type == SafetensorsType.Other ? 1 : type.Size();

        // A tensor without elements has strides, and they overflow if its other lengths do.
        foreach (long length in lengths.Where(length => length != 0))
        {
            if (size > long.MaxValue / length)
                return null;
            size *= length;
        }

        return lengths.Contains(0) ? 0 : size;
    }
}
