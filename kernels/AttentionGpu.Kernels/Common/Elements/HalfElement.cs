using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Elements;

/// <summary>
/// IEEE half precision: 5 exponent bits, 10 of the fraction. Converted by whole-number operations, so that devices without half
/// precision have it too.
/// </summary>
public struct HalfElement : IElement<HalfElement>
{
    private const uint SignBit = 0x8000;
    private const uint InfinityBits = 0x7C00;
    private const uint QuietBit = 0x0200;
    private const int FractionBits = 10;
    private const int FractionShift = 13;
    private const int SingleFractionBits = 23;
    private const uint ExponentDifference = 127 - 15;

    // The highest exponent is that of infinity and NaN in both.
    private const uint SpecialDifference = 255 - 31;

    // 2^-24, the smallest half; and the bits of 2^-14, from which on halves have all their fraction bits.
    private const float SmallestStep = 1f / (1 << 24);
    private const uint SmallestNormal = 0x38800000;

    // 65520, half way from the largest half to the next power of two.
    private const uint Overflow = 0x477FF000;
    private const uint SingleInfinity = 0x7F800000;

    /// <summary>The sixteen bits.</summary>
    public ushort Bits;

    /// <inheritdoc/>
    public static bool HoldsSingle => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float ToSingle()
    {
        uint size = Bits & (SignBit - 1);
        uint sign = (Bits & SignBit) << 16;
        uint exponent = size >= InfinityBits ? SpecialDifference : ExponentDifference;
        uint normal = (size << FractionShift) + (exponent << SingleFractionBits);
        float value = size < 1u << FractionBits ? (int)size * SmallestStep : Interop.IntAsFloat(normal);
        return sign != 0 ? -value : value;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static HalfElement FromSingle(float value)
    {
        uint bits = Interop.FloatAsInt(value);
        uint sign = (bits >> 16) & SignBit;
        bits &= 0x7FFFFFFF;
        uint result;
        if (bits > SingleInfinity)
        {
            result = InfinityBits | QuietBit;
        }
        else if (bits >= Overflow)
        {
            result = InfinityBits;
        }
        else if (bits >= SmallestNormal)
        {
            // Half of the last place, and a little less where the last place is even.
            uint rounded = bits + ((1u << (FractionShift - 1)) - 1) + ((bits >> FractionShift) & 1);
            result = (rounded >> FractionShift) - (ExponentDifference << FractionBits);
        }
        else
        {
            // In steps, plus 1.5 * 2^23: the sum's last place is one step, and the addition rounds to even.
            const float magic = 12582912f;
            result = Interop.FloatAsInt(Interop.IntAsFloat(bits) * (1f / SmallestStep) + magic) & (SignBit - 1);
        }

        return new HalfElement { Bits = (ushort)(sign | result) };
    }
}
