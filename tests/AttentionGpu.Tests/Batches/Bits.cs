using System.Runtime.InteropServices;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Batches;

/// <summary>Compares results bit by bit: zeros of both signs differ.</summary>
internal static class Bits
{
    public static bool AreSame<T>(ReadOnlySpan<T> one, ReadOnlySpan<T> other)
        where T : unmanaged =>
        MemoryMarshal.AsBytes(one).SequenceEqual(MemoryMarshal.AsBytes(other));

    /// <summary>Asserts it, and that all was written.</summary>
    public static void AssertSame<T>(ReadOnlySpan<T> alone, ReadOnlySpan<T> together, string context)
        where T : unmanaged
    {
        Assert.Equal(alone.Length, together.Length);
        Assert.DoesNotContain(float.NaN, ElementArrays.Widen(together.ToArray()));
        for (int i = 0; i < alone.Length; i++)
        {
            if (!AreSame(alone.Slice(i, 1), together.Slice(i, 1)))
                Assert.Fail($"{context}: element {i} of {alone.Length} is {together[i]:R} together and {alone[i]:R} alone.");
        }
    }
}
