using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Memory;

/// <summary>What a loop asks for while it computes.</summary>
internal interface ILines
{
    /// <summary>Asks for the next line.</summary>
    void Next();
}

/// <summary>Nothing: a loop without it is 1 to 2 % faster.</summary>
internal readonly struct NoLines : ILines
{
    public void Next()
    {
    }
}

/// <summary>
/// Asks for lines in L2, one a call: a burst of them keeps the lines waiting that the loop reads itself. It is a local of the loop, so that
/// its fields are in registers.
/// </summary>
internal unsafe struct LinePrefetch(float* first, float* end) : ILines
{
    private float* _next = first;

    /// <summary>Whether nothing is left.</summary>
    public readonly bool IsEmpty => _next >= end;

    /// <summary>Asks for the next line, if there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Next()
    {
        if (_next >= end)
            return;
        Sse.Prefetch1(_next);
        _next += Prefetch.LineBytes / sizeof(float);
    }
}
