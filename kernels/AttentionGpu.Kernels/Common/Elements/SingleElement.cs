using System.Runtime.CompilerServices;

namespace AttentionGpu.Kernels.Common.Elements;

/// <summary>IEEE single precision.</summary>
public struct SingleElement : IElement<SingleElement>
{
    /// <summary>The bits of a quiet not-a-number.</summary>
    public const uint NaNBits = 0x7FC00000;

    /// <summary>The value.</summary>
    public float Value;

    /// <inheritdoc/>
    public static bool HoldsSingle => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float ToSingle() => Value;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleElement FromSingle(float value) => new() { Value = value };
}
