using System.Diagnostics.CodeAnalysis;

namespace AttentionGpu;

/// <summary>
/// How a key/value cache stores the elements of keys and values. The quantised types are symmetric and round to the nearest,
/// ties to even. A row, or a group, with an element that is not finite is NaN throughout.
/// </summary>
[SuppressMessage("Naming", "CA1720:Identifier contains type name", Justification = "The field's names of these types.")]
public enum KeyValueElement
{
    /// <summary>32 bits.</summary>
    Float32,

    /// <summary>16 bits, IEEE 754.</summary>
    Float16,

    /// <summary>The upper half of 32 bits.</summary>
    BFloat16,

    /// <summary>-127 to 127, times a float32 for each token and head: the largest size of its elements / 127.</summary>
    Int8,

    /// <summary>-7 to 7, times a float16 for each 32 elements of a row; the last group may be shorter. Two elements a byte.</summary>
    Int4,

    /// <summary>
    /// OCP 8-bit floating point E4M3, up to 448, times a float32 for each token and head: the largest size of its elements / 448.
    /// </summary>
    Float8E4M3,
}
