using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Memory;

/// <summary>
/// Asks for memory before it is needed, where the processor has an instruction for it. Addresses beyond the end of a tensor do no harm.
/// </summary>
internal static unsafe class Prefetch
{
    /// <summary>Bytes of a line of a processor's cache.</summary>
    public const int LineBytes = 64;

    private const int LineFloats = LineBytes / sizeof(float);

    /// <summary>Asks for floats that are needed soon: brings them to L1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Row(float* first, int length)
    {
        if (!Sse.IsSupported)
            return;
        for (int line = 0; line < length; line += LineFloats)
            Sse.Prefetch0(first + line);
    }

    /// <summary>Asks for bytes that are needed later, in L2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Bytes(byte* first, int count)
    {
        if (!Sse.IsSupported)
            return;
        for (int line = 0; line < count; line += LineBytes)
            Sse.Prefetch1(first + line);
    }
}
