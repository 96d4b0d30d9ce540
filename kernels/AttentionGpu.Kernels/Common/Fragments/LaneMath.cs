using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Fragments;

/// <summary>Elementary functions without branches or calls, which a compiler for a processor can make vectors of.</summary>
public static class LaneMath
{
    // e^-87.33 is the smallest normal number.
    private const float Lowest = -87.33f;

    // 1.5 * 2^23: in a sum with it the last place is 1, so that the addition rounds to a whole number, which its last bits are.
    private const float Magic = 12582912f;
    private const uint MagicBits = 0x4B400000;
    private const uint ExponentBias = 127;
    private const int FractionBits = 23;

    /// <summary>
    /// e to the power of x, for x of 0 or less, -inf or NaN: under 2 ulp, and 0 where the result is no normal number. Cody and Waite:
    /// x = n ln 2 + f with ln 2 in two parts, of which the first times n is exact; e^f by a polynomial of degree 6. 20 operations.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ExpOfNonPositive(float x)
    {
        float shifted = x * 1.44269504f + Magic;
        float n = shifted - Magic;
        float f = x - n * 0.693359375f + n * 2.12194440e-4f;
        float power = 1.3843651180e-3f;
        power = power * f + 8.3741555837e-3f;
        power = power * f + 4.1668002094e-2f;
        power = power * f + 1.6666431258e-1f;
        power = power * f + 4.9999994209e-1f;
        power = power * f + 1.0000000322f;
        power = power * f + 1f;
        uint scale = (Interop.FloatAsInt(shifted) - MagicBits + ExponentBias) << FractionBits;
        float result = power * Interop.IntAsFloat(scale);
        return x < Lowest ? 0f : result;
    }
}
