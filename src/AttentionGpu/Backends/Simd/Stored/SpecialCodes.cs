using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace AttentionGpu.Backends.Simd.Stored;

/// <summary>
/// Finds codes that do not widen as the others do: infinity and NaN of 16 bits, and NaN of 8. They are rare, so rows are looked at before,
/// for 2 operations a vector of codes, and rows with such a code are converted one element at a time.
/// </summary>
internal static unsafe class SpecialCodes
{
    private const ushort LargestHalf = 0x7BFF;
    private const ushort HalfSize = 0x7FFF;
    private const byte Float8Size = 0x7F;

    /// <summary>Whether a byte is a NaN of E4M3.</summary>
    public static bool IsNaN(byte code) => (code & Float8Size) == Float8Size;

    /// <summary>Whether a row has such a code.</summary>
    /// <param name="element">What its elements are.</param>
    /// <param name="row">The row.</param>
    /// <param name="size">Its elements.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AreIn(KeyValueElement element, byte* row, int size) => element switch
    {
        KeyValueElement.Float16 => Largest((ushort*)row, size) > LargestHalf,
        KeyValueElement.Float8E4M3 => Largest(row, size) == Float8Size,
        _ => false,
    };

    // Twice a code is twice its size, in 16 bits.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Largest(ushort* codes, int count)
    {
        Vector512<ushort> even = Vector512<ushort>.Zero;
        Vector512<ushort> odd = Vector512<ushort>.Zero;
        int i = 0;
        for (; i + 2 * Vector512<ushort>.Count <= count; i += 2 * Vector512<ushort>.Count)
        {
            Vector512<ushort> first = Vector512.Load(codes + i);
            Vector512<ushort> second = Vector512.Load(codes + i + Vector512<ushort>.Count);
            even = Vector512.Max(even, first + first);
            odd = Vector512.Max(odd, second + second);
        }

        int largest = 0;
        for (; i < count; i++)
            largest = Math.Max(largest, codes[i] & HalfSize);
        even = Vector512.Max(even, odd);
        return Vector512.GreaterThanAny(even, Vector512.Create((ushort)(2 * LargestHalf))) ? HalfSize : largest;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Largest(byte* codes, int count)
    {
        Vector256<byte> size = Vector256.Create(Float8Size);
        Vector256<byte> largest = Vector256<byte>.Zero;
        int i = 0;
        for (; i + Vector256<byte>.Count <= count; i += Vector256<byte>.Count)
            largest = Vector256.Max(largest, Vector256.Load(codes + i) & size);
        int rest = 0;
        for (; i < count; i++)
            rest = Math.Max(rest, codes[i] & Float8Size);
        return Vector256.EqualsAny(largest, size) ? Float8Size : rest;
    }
}
