using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using AttentionGpu.KeyValues;

namespace AttentionGpu.Backends.Simd.Stored;

/// <summary>
/// Quantises a row of floats. Divisions and roundings are those of float32, to the nearest and ties to even, so that every backend stores
/// the same bits. A row, or a group, with an element that is not finite gets the scale NaN, and zeros.
/// </summary>
internal static unsafe class QuantisedStore
{
    private const int SizeBits = int.MaxValue;
    private const int InfinityBits = 0x7F800000;

    // Of E4M3: the bits of a single's fraction that it lacks, the difference of the biases in its place, and its least normal number.
    private const int Float8Shift = 20;
    private const int Float8Bias = 120 << 3;
    private const float LeastNormal = 1f / 64;
    private const float StepsOfOne = 512f;

    /// <summary>Stores a row.</summary>
    /// <param name="row">The floats.</param>
    /// <param name="size">How many there are.</param>
    /// <param name="element">How they are stored.</param>
    /// <param name="target">The stored row.</param>
    /// <param name="scales">Its scales.</param>
    public static void Row(float* row, int size, KeyValueElement element, byte* target, byte* scales)
    {
        switch (element)
        {
            case KeyValueElement.Int8:
                StoreInt8(row, size, (sbyte*)target, (float*)scales);
                break;
            case KeyValueElement.Float8E4M3:
                StoreFloat8(row, size, target, (float*)scales);
                break;
            case KeyValueElement.Int4:
                for (int first = 0; first < size; first += KeyValueElements.Int4Group)
                {
                    Half* scale = (Half*)scales + first / KeyValueElements.Int4Group;
                    StoreGroup(row + first, Math.Min(KeyValueElements.Int4Group, size - first), target + first / 2, scale);
                }

                break;
            default:
                throw KeyValueElements.Unknown(element);
        }
    }

    // The largest size of a row; NaN where an element is not finite. The bits of sizes are in the order of the sizes.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float LargestSize(float* row, int size)
    {
        Vector256<int> mask = Vector256.Create(SizeBits);
        Vector256<int> largest = Vector256<int>.Zero;
        int i = 0;
        for (; i + Vector256<int>.Count <= size; i += Vector256<int>.Count)
            largest = Vector256.Max(largest, Vector256.Load((int*)row + i) & mask);
        int bits = 0;
        for (int lane = 0; lane < Vector256<int>.Count; lane++)
            bits = Math.Max(bits, largest[lane]);
        for (; i < size; i++)
            bits = Math.Max(bits, ((int*)row)[i] & SizeBits);
        return bits >= InfinityBits ? float.NaN : BitConverter.Int32BitsToSingle(bits);
    }

    // 8 elements: 1 load, 1 division, 1 rounding, 2 comparisons, 1 conversion, 1 narrowing.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void StoreInt8(float* row, int size, sbyte* target, float* scale)
    {
        *scale = LargestSize(row, size) / KeyValueElements.LargestInt8;
        if (!(*scale > 0f))
        {
            new Span<sbyte>(target, size).Clear();
            return;
        }

        int i = 0;
        for (; i + Vector256<float>.Count <= size; i += Vector256<float>.Count)
        {
            Vector256<int> numbers = Quantise(Vector256.Load(row + i), *scale, KeyValueElements.LargestInt8);
            Vector128<short> shorts = Vector128.Narrow(numbers.GetLower(), numbers.GetUpper());
            *(ulong*)(target + i) = Vector128.Narrow(shorts, shorts).AsUInt64().ToScalar();
        }

        for (; i < size; i++)
            target[i] = (sbyte)QuantiseOne(row[i], *scale, KeyValueElements.LargestInt8);
    }

    // Pairs of elements in 8 lanes, as the bytes of a number of 32 bits: the low halves of bytes, then the high ones.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void StoreGroup(float* row, int size, byte* target, Half* scale)
    {
        *scale = (Half)(LargestSize(row, size) / KeyValueElements.LargestInt4);
        float factor = Half.IsFinite(*scale) ? (float)*scale : float.NaN;
        if (float.IsNaN(factor))
            *scale = Half.NaN;
        if (!(factor > 0f))
        {
            new Span<byte>(target, (size + 1) / 2).Clear();
            return;
        }

        int i = 0;
        for (; i + Vector256<float>.Count <= size; i += Vector256<float>.Count)
        {
            Vector256<int> numbers = Quantise(Vector256.Load(row + i), factor, KeyValueElements.LargestInt4) & Vector256.Create(0xF);
            Vector256<ulong> pairs = numbers.AsUInt64();
            Vector256<ulong> bytes = (pairs | (pairs >> 28)) & Vector256.Create(0xFFul);
            *(uint*)(target + i / 2) = (uint)(bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24));
        }

        for (; i < size; i += 2)
        {
            int low = QuantiseOne(row[i], factor, KeyValueElements.LargestInt4);
            int high = i + 1 < size ? QuantiseOne(row[i + 1], factor, KeyValueElements.LargestInt4) : 0;
            target[i / 2] = (byte)((low & 0xF) | (high << 4));
        }
    }

    // 8 elements: 1 load, 1 division, 2 comparisons, 11 operations, 1 narrowing.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void StoreFloat8(float* row, int size, byte* target, float* scale)
    {
        *scale = LargestSize(row, size) / KeyValueElements.LargestFloat8;
        if (!(*scale > 0f))
        {
            new Span<byte>(target, size).Clear();
            return;
        }

        float* last = stackalloc float[Vector256<float>.Count];
        int i = 0;
        for (; i + Vector256<float>.Count <= size; i += Vector256<float>.Count)
            *(ulong*)(target + i) = Float8(Vector256.Load(row + i), *scale);
        if (i == size)
            return;
        new Span<float>(last, Vector256<float>.Count).Clear();
        new ReadOnlySpan<float>(row + i, size - i).CopyTo(new Span<float>(last, Vector256<float>.Count));
        ulong codes = Float8(Vector256.Load(last), *scale);
        new ReadOnlySpan<byte>(&codes, size - i).CopyTo(new Span<byte>(target + i, size - i));
    }

    // Below the least normal number codes are steps of 2^-9, up to the code of that number; from there on the upper bits of a single's
    // size, rounded. A scale that is subnormal can be too small for its row: sizes end at the largest.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Float8(Vector256<float> values, float scale)
    {
        Vector256<float> quotient = values / Vector256.Create(scale);
        Vector256<float> size = Vector256.MinNative(Vector256.Abs(quotient), Vector256.Create(KeyValueElements.LargestFloat8));
        Vector256<int> bits = size.AsInt32();
        Vector256<int> half = Vector256.Create((1 << (Float8Shift - 1)) - 1) + ((bits >> Float8Shift) & Vector256<int>.One);
        Vector256<int> normal = ((bits + half) >> Float8Shift) - Vector256.Create(Float8Bias);
        Vector256<int> small = Vector256.ConvertToInt32Native(Vector256.Round(size * Vector256.Create(StepsOfOne)));
        Vector256<int> isSmall = Vector256.LessThan(size, Vector256.Create(LeastNormal)).AsInt32();
        Vector256<int> codes = Vector256.ConditionalSelect(isSmall, small, normal);
        Vector256<uint> all = codes.AsUInt32() | ((quotient.AsUInt32() & Vector256.Create(0x80000000u)) >> 24);
        Vector128<ushort> shorts = Vector128.Narrow(all.GetLower(), all.GetUpper());
        return Vector128.Narrow(shorts, shorts).AsUInt64().ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Quantise(Vector256<float> values, float scale, float largest)
    {
        Vector256<float> rounded = Vector256.Round(values / Vector256.Create(scale));
        Vector256<float> bounded = Vector256.MaxNative(Vector256.MinNative(rounded, Vector256.Create(largest)), Vector256.Create(-largest));
        return Vector256.ConvertToInt32Native(bounded);
    }

    private static int QuantiseOne(float value, float scale, float largest) =>
        (int)Math.Clamp(MathF.Round(value / scale), -largest, largest);
}
