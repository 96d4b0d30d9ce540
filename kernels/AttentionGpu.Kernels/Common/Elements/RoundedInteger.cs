using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Elements;

/// <summary>Rounding to whole numbers by one addition, which every device does alike.</summary>
public static class RoundedInteger
{
    // 1.5 * 2^23: the last place of a sum with it is 1, and the addition rounds to even.
    private const float Magic = 12582912f;
    private const uint MagicBits = 0x4B400000;

    /// <summary>The nearest whole number, of two the even one, from -<paramref name="largest"/> to <paramref name="largest"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Nearest(float value, float largest)
    {
        float bounded = value > largest ? largest : value < -largest ? -largest : value;
        return (int)(Interop.FloatAsInt(bounded + Magic) - MagicBits);
    }
}
