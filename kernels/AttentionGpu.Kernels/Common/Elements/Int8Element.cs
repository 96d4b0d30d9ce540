using System.Runtime.CompilerServices;

namespace AttentionGpu.Kernels.Common.Elements;

/// <summary>Whole numbers from -127 to 127.</summary>
public struct Int8Element : IByteElement
{
    /// <inheritdoc/>
    public static float Largest => 127f;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToSingle(byte bits) => (bits ^ 0x80) - 0x80;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte FromSingle(float value) => (byte)(RoundedInteger.Nearest(value, Largest) & 0xFF);
}
