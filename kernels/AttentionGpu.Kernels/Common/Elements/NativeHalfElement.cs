using System.Runtime.CompilerServices;

namespace AttentionGpu.Kernels.Common.Elements;

/// <summary>
/// IEEE half precision on devices that convert it by one instruction each way; the same bits as <see cref="HalfElement"/>, which takes some
/// 15 and 20. All CUDA devices have it; of OpenCL devices, which have it as an extension, it is not asked for.
/// </summary>
public struct NativeHalfElement : IElement<NativeHalfElement>
{
    /// <summary>The value.</summary>
    public ILGPU.Half Value;

    /// <inheritdoc/>
    public static bool HoldsSingle => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float ToSingle() => Value;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeHalfElement FromSingle(float value) => new() { Value = (ILGPU.Half)value };
}
