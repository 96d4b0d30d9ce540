using AttentionGpu.Memory;

namespace AttentionGpu.Backends.Simd.Memory;

/// <summary>
/// How a call's workspace is cut: memory that all threads share, then a slot for each thread. Each starts at a cache line, and a gap
/// follows.
/// </summary>
internal readonly unsafe struct ThreadWorkspace
{
    private const int LineFloats = 16;

    // A core's prefetchers run past the end of its slot and take the first lines of the next slot from the core that writes them. Without a
    // gap attention of 12 heads of 512 took 1.5 % longer, and 10 to 15 % in one process of ten; half a KiB helps little, 16 KiB wholly.
    private const int GapFloats = 4096;

    private readonly long _sharedFloats;
    private readonly long _slotFloats;

    /// <param name="sharedFloats">Floats that all threads share.</param>
    /// <param name="slots">Threads.</param>
    /// <param name="slotFloats">Floats of a thread.</param>
    public ThreadWorkspace(long sharedFloats, int slots, long slotFloats)
    {
        _sharedFloats = sharedFloats == 0 ? 0 : RoundUp(sharedFloats) + GapFloats;
        _slotFloats = RoundUp(slotFloats) + GapFloats;
        Slots = slots;
    }

    /// <summary>Threads that have memory of their own.</summary>
    public int Slots { get; }

    /// <summary>Bytes of all.</summary>
    public long ByteLength => sizeof(float) * (_sharedFloats + Slots * _slotFloats);

    /// <summary>Floats up to the next cache line.</summary>
    public static long RoundUp(long floats) => (floats + LineFloats - 1) / LineFloats * LineFloats;

    /// <summary>The first address of memory that is large enough.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is not.</exception>
    public float* In(DeviceMemory memory)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(memory.ByteLength, ByteLength, nameof(memory));
        return memory.Pointer<float>();
    }

    /// <summary>A thread's memory.</summary>
    public float* Slot(float* memory, int slot) => memory + _sharedFloats + slot * _slotFloats;
}
