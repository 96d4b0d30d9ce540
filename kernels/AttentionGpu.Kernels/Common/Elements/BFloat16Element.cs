using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Elements;

/// <summary>The upper half of a single: 8 exponent bits, 7 of the fraction.</summary>
public struct BFloat16Element : IElement<BFloat16Element>
{
    private const uint QuietNaN = 0x7FC0;
    private const uint SingleInfinity = 0x7F800000;

    /// <summary>The sixteen bits.</summary>
    public ushort Bits;

    /// <inheritdoc/>
    public static bool HoldsSingle => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float ToSingle() => Interop.IntAsFloat((uint)Bits << 16);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static BFloat16Element FromSingle(float value)
    {
        uint bits = Interop.FloatAsInt(value);
        uint rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
        return new BFloat16Element { Bits = (ushort)((bits & 0x7FFFFFFF) > SingleInfinity ? QuietNaN : rounded) };
    }
}
