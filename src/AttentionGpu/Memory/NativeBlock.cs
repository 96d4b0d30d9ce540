using System.Runtime.InteropServices;

namespace AttentionGpu.Memory;

/// <summary>A block of the host's memory outside of the garbage collector's, at the start of a cache line; freed by the finalizer where nobody disposes of it.</summary>
internal sealed unsafe class NativeBlock : IDisposable
{
    private const int CacheLine = 64;

    private void* _address;

    /// <exception cref="OutOfMemoryException">The system has no room for it.</exception>
    public NativeBlock(long byteLength)
    {
        ByteLength = byteLength;
        _address = NativeMemory.AlignedAlloc((nuint)byteLength, CacheLine);
    }

    ~NativeBlock() => Free();

    public long ByteLength { get; }

    public nint Address => (nint)_address;

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
