using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Elements;

/// <summary>
/// OCP 8-bit floating point E4M3: 4 exponent bits, 3 of the fraction, no infinity. Converted by whole-number operations, so that devices
/// without the type have it too. Micikevicius and others, "FP8 formats for deep learning" (2022).
/// </summary>
public struct Float8Element : IByteElement
{
    private const int SizeBits = 0x7F;
    private const int LargestBits = 0x7E;
    private const int FractionBits = 3;
    private const int FractionShift = 20;
    private const int SingleFractionBits = 23;
    private const int ExponentDifference = 127 - 7;

    // 2^-9, the smallest step; and the bits of 2^-6, from which on numbers have all their fraction bits.
    private const float SmallestStep = 1f / 512f;
    private const uint SmallestNormal = 0x3C800000;

    /// <inheritdoc/>
    public static float Largest => 448f;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToSingle(byte bits)
    {
        int size = bits & SizeBits;
        uint normal = ((uint)size << FractionShift) + ((uint)ExponentDifference << SingleFractionBits);
        float value = size < 1 << FractionBits
            ? size * SmallestStep
            : Interop.IntAsFloat(size == SizeBits ? SingleElement.NaNBits : normal);
        return bits > SizeBits ? -value : value;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte FromSingle(float value)
    {
        uint bits = Interop.FloatAsInt(value);
        uint sign = (bits >> 24) & 0x80;
        bits &= 0x7FFFFFFF;
        int result;
        if (bits >= SmallestNormal)
        {
            // Half of the last place, and a little less where the last place is even.
            uint rounded = bits + ((1u << (FractionShift - 1)) - 1) + ((bits >> FractionShift) & 1);
            result = (int)(rounded >> FractionShift) - (ExponentDifference << FractionBits);
        }
        else
        {
            result = RoundedInteger.Nearest(Interop.IntAsFloat(bits) * (1f / SmallestStep), 1 << FractionBits);
        }

        return (byte)(sign | (uint)(result > LargestBits ? LargestBits : result));
    }
}
