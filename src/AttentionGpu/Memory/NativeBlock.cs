using System.Runtime.InteropServices;

namespace AttentionGpu.Memory;

/// <summary>
/// A block of the host's memory outside of the garbage collector's, at the start of a page; freed by the finalizer where nobody disposes
/// of it.
/// </summary>
internal sealed unsafe partial class NativeBlock : IDisposable
{
    // A block that starts at a cache line only made attention of short lengths 2 to 10 % slower, from process to process.
    private const int Page = 4096;

    // Blocks of several large pages are asked for in them, where the system gives them to whoever asks.
    private const int LargePage = 2 << 20;
    private const long FirstLarge = 4 * LargePage;
    private const int AdviseHugePages = 14;

    private void* _address;

    /// <exception cref="OutOfMemoryException">The system has no room for it.</exception>
    public NativeBlock(long byteLength)
    {
        ByteLength = byteLength;
        bool isLarge = byteLength >= FirstLarge;
        _address = NativeMemory.AlignedAlloc((nuint)byteLength, (nuint)(isLarge ? LargePage : Page));

        // What the answer is does not matter: small pages serve too.
        if (isLarge && OperatingSystem.IsLinux())
            _ = Advise((nint)_address, (nuint)(byteLength / LargePage * LargePage), AdviseHugePages);

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

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);

    private void Free()
    {
        if (_address == null)
            return;
        NativeMemory.AlignedFree(_address);
        _address = null;
        GC.RemoveMemoryPressure(ByteLength);
    }
}
