using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Elements;
using AttentionGpu.Tensors;

namespace AttentionGpu.Serialization;

/// <summary>Which elements of a file can be read as which type, and how they are converted.</summary>
internal static class SafetensorsElements
{
    // Converted at a time, so that the float32 values between two other types stay small.
    private const int Chunk = 4096;

    /// <summary>The type of a file whose elements are those of <typeparamref name="T"/>.</summary>
    /// <exception cref="NotSupportedException">It is neither float, Half nor BFloat16.</exception>
    public static SafetensorsType TypeOf<T>()
        where T : unmanaged => ElementTypes.Of<T>() switch
        {
            ElementType.Float32 => SafetensorsType.F32,
            ElementType.Float16 => SafetensorsType.F16,
            ElementType.BFloat16 => SafetensorsType.BF16,
            ElementType other => throw ElementTypes.Unknown(other),
        };

    public static bool IsFloat(SafetensorsType type) =>
        type is SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16 or SafetensorsType.F64;

    /// <summary>Whether elements of another type all keep their values as <typeparamref name="T"/>.</summary>
    public static bool IsExact<T>(SafetensorsType type)
        where T : unmanaged => typeof(T) == typeof(float) && type is SafetensorsType.F16 or SafetensorsType.BF16;

    /// <summary>The types that can be read, for messages.</summary>
    public static string Readable<T>(bool round)
        where T : unmanaged => round ? "F32, F16, BF16 or F64" : typeof(T) == typeof(float) ? "F32, F16 or BF16" : $"{TypeOf<T>()}";

    /// <summary>Converts elements of a floating-point type to another one.</summary>
    /// <param name="bytes">As they are in the file.</param>
    /// <param name="type">F32, F16, BF16 or F64.</param>
    /// <param name="target">As many elements.</param>
    public static void Convert<T>(ReadOnlySpan<byte> bytes, SafetensorsType type, Span<T> target)
        where T : unmanaged
    {
        if (typeof(T) == typeof(float))
        {
            ToSingle(bytes, type, MemoryMarshal.Cast<T, float>(target), isRoundedAgain: false);
            return;
        }

        var singles = new float[Math.Min(Chunk, target.Length)];
        for (int start = 0; start < target.Length; start += Chunk)
        {
            int count = Math.Min(Chunk, target.Length - start);
            ToSingle(bytes.Slice(start * type.Size(), count * type.Size()), type, singles.AsSpan(0, count), isRoundedAgain: true);
            HostCopy.Round(singles.AsSpan(0, count), ElementTypes.Of<T>(), MemoryMarshal.AsBytes(target.Slice(start, count)));
        }
    }

    private static void ToSingle(ReadOnlySpan<byte> bytes, SafetensorsType type, Span<float> target, bool isRoundedAgain)
    {
        switch (type)
        {
            case SafetensorsType.F32:
                MemoryMarshal.Cast<byte, float>(bytes).CopyTo(target);
                break;
            case SafetensorsType.F16:
                TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(bytes), target);
                break;
            case SafetensorsType.BF16:
                ReadOnlySpan<BFloat16> halves = MemoryMarshal.Cast<byte, BFloat16>(bytes);
                for (int i = 0; i < target.Length; i++)
                    target[i] = halves[i];
                break;
            case SafetensorsType.F64 when isRoundedAgain:
                ReadOnlySpan<double> doubles = MemoryMarshal.Cast<byte, double>(bytes);
                for (int i = 0; i < target.Length; i++)
                    target[i] = ToOdd(doubles[i]);
                break;
            case SafetensorsType.F64:
                TensorPrimitives.ConvertTruncating<double, float>(MemoryMarshal.Cast<byte, double>(bytes), target);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "It must be a floating-point type.");
        }
    }

    // A float32 that stands for a double until it is rounded to 16 bits. Rounded to the nearest, it could end up in the middle between two
    // 16-bit numbers where the double did not; cut off, with the last bit set for what was lost, it cannot (Boldo and Melquiond, 2008).
    private static float ToOdd(double value)
    {
        float single = (float)value;
        if (single == value || !float.IsFinite(single))
            return single;
        uint bits = BitConverter.SingleToUInt32Bits(single);
        if (Math.Abs((double)single) > Math.Abs(value))
            bits--;
        return BitConverter.UInt32BitsToSingle(bits | 1);
    }
}
