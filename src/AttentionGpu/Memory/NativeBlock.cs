using System.Runtime.InteropServices;

namespace AttentionGpu.Memory;

/// <summary>
/// A block of the host's memory outside of the garbage collector's, at the start of a page; freed by the finalizer where nobody disposes
/// of it.
/// </summary>
internal sealed unsafe class NativeBlock : IDisposable
{
    // A block that starts at a cache line only made attention of short lengths 2 to 10 % slower, from process to process.
    private const int Page = 4096;

    private void* _address;

    /// <exception cref="OutOfMemoryException">The system has no room for it.</exception>
    public NativeBlock(long byteLength)
    {
        ByteLength = byteLength;
        _address = NativeMemory.AlignedAlloc((nuint)byteLength, Page);

        // Tensors that nobody disposes of are found by a collection sooner.
        GC.AddMemoryPressure(byteLength);
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
        if (_address == null)
            return;
        NativeMemory.AlignedFree(_address);
        _address = null;
        GC.RemoveMemoryPressure(ByteLength);
    }
}
