using AttentionGpu.Elements;

namespace AttentionGpu.KeyValues;

/// <summary>Sizes of the element types of keys and values.</summary>
internal static class KeyValueElements
{
    /// <summary>Elements of <see cref="KeyValueElement.Int4"/> that share a scale.</summary>
    public const int Int4Group = 32;

    /// <summary>The largest number of <see cref="KeyValueElement.Int8"/>.</summary>
    public const float LargestInt8 = 127f;

    /// <summary>The largest number of <see cref="KeyValueElement.Int4"/>.</summary>
    public const float LargestInt4 = 7f;

    /// <summary>The largest number of <see cref="KeyValueElement.Float8E4M3"/>.</summary>
    public const float LargestFloat8 = 448f;

    /// <summary>The same element type for keys and values.</summary>
    public static KeyValueElement Of(ElementType type) => type switch
    {
        ElementType.Float32 => KeyValueElement.Float32,
        ElementType.Float16 => KeyValueElement.Float16,
        ElementType.BFloat16 => KeyValueElement.BFloat16,
        _ => throw ElementTypes.Unknown(type),
    };

    /// <summary>Whether elements are multiplied by scales.</summary>
    public static bool IsQuantised(this KeyValueElement element) => element switch
    {
        KeyValueElement.Float32 or KeyValueElement.Float16 or KeyValueElement.BFloat16 => false,
        KeyValueElement.Int8 or KeyValueElement.Int4 or KeyValueElement.Float8E4M3 => true,
        _ => throw Unknown(element),
    };

    /// <summary>The element type of one that has no scales.</summary>
    public static ElementType Plain(this KeyValueElement element) => element switch
    {
        KeyValueElement.Float32 => ElementType.Float32,
        KeyValueElement.Float16 => ElementType.Float16,
        KeyValueElement.BFloat16 => ElementType.BFloat16,
        _ => throw Unknown(element),
    };

    /// <summary>Bytes of a row without its scales.</summary>
    public static int RowBytes(this KeyValueElement element, int size) => element switch
    {
        KeyValueElement.Int8 or KeyValueElement.Float8E4M3 => size,
        KeyValueElement.Int4 => (size + 1) / 2,
        _ => size * element.Plain().Size(),
    };

    /// <summary>Bytes of the scales of a row; 0 where there are none.</summary>
    public static int ScaleBytes(this KeyValueElement element, int size) => element switch
    {
        KeyValueElement.Int8 or KeyValueElement.Float8E4M3 => sizeof(float),
        KeyValueElement.Int4 => Int4Groups(size) * sizeof(ushort),
        KeyValueElement.Float32 or KeyValueElement.Float16 or KeyValueElement.BFloat16 => 0,
        _ => throw Unknown(element),
    };

    /// <summary>Groups of a row of <see cref="KeyValueElement.Int4"/>.</summary>
    public static int Int4Groups(int size) => (size + Int4Group - 1) / Int4Group;

    /// <summary>The exception for a value that is no element type.</summary>
    public static ArgumentOutOfRangeException Unknown(KeyValueElement element) =>
        new(nameof(element), element, "There is no such element type of keys and values.");
}
