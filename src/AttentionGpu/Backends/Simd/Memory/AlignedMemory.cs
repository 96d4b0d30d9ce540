using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace AttentionGpu.Backends.Simd.Memory;

/// <summary>A block of memory at the start of a cache line, freed by the finalizer where nobody disposes of it.</summary>
internal sealed unsafe class AlignedMemory : IDisposable
{
    private const int CacheLine = 64;

    private void* _address;

    private AlignedMemory(long floats)
    {
        Length = floats;
        _address = NativeMemory.AlignedAlloc((nuint)(floats * sizeof(float)), CacheLine);
    }

    ~AlignedMemory() => Free();

    public long Length { get; }

    public float* Address => (float*)_address;

    /// <summary>Takes a block from a pool, or a new one where the pool's is too small.</summary>
    public static AlignedMemory Rent(ConcurrentBag<AlignedMemory> pool, long floats)
    {
        if (pool.TryTake(out AlignedMemory? memory))
        {
            if (memory.Length >= floats)
                return memory;
            memory.Dispose();
        }

        return new AlignedMemory(floats);
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_address);
        _address = null;
    }
}
