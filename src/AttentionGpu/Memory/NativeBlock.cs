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

    // Linux gives a block large pages where it is asked to (MADV_HUGEPAGE): caches of keys and values are read up to a tenth faster.
    // Aligned to a large page, a short block would waste as much address space as it has.
    private const int LargePage = 2 << 20;
    private const int LeastLargePages = 4;
    private const int LargePagesAdvice = 14;

    private static readonly delegate* unmanaged<void*, nuint, int, int> _advise = FindAdvise();

    private void* _address;

    /// <exception cref="OutOfMemoryException">The system has no room for it.</exception>
    public NativeBlock(long byteLength)
    {
        ByteLength = byteLength;
        bool isLarge = _advise != null && byteLength >= LeastLargePages * LargePage;
        _address = NativeMemory.AlignedAlloc((nuint)byteLength, (nuint)(isLarge ? LargePage : Page));

        // Where the system refuses, pages stay small.
        if (isLarge)
            _ = _advise(_address, (nuint)byteLength, LargePagesAdvice);

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

    // The function "madvise" of the C library, which every .NET process on Linux has, whatever its name.
    private static delegate* unmanaged<void*, nuint, int, int> FindAdvise() =>
        OperatingSystem.IsLinux() && NativeLibrary.TryGetExport(NativeLibrary.GetMainProgramHandle(), "madvise", out nint address)
            ? (delegate* unmanaged<void*, nuint, int, int>)address
            : null;
}
