using System.Buffers;
using System.Runtime.CompilerServices;

namespace AttentionGpu.Service;

/// <summary>
/// Memory of a request, charged to its lease. Small arrays come from the shared pool. Large ones are left to the collector, as the pool
/// would keep up to 32 of each size and processor.
/// </summary>
internal sealed class RequestArray<T> : IDisposable
    where T : unmanaged
{
    private const int MaxPooledBytes = 256 << 10;

    private readonly MemoryLease _lease;
    private readonly long _bytes;
    private readonly bool _isPooled;
    private T[]? _array;

    /// <param name="lease">What the array is charged to.</param>
    /// <param name="length">Elements. Their values are undefined.</param>
    /// <exception cref="BusyException">There is no room for the array.</exception>
    public RequestArray(MemoryLease lease, long length)
    {
        _lease = lease;
        _bytes = length * Unsafe.SizeOf<T>();
        _isPooled = _bytes <= MaxPooledBytes;
        lease.Grow(_bytes);
        int count = checked((int)length);
        _array = _isPooled ? ArrayPool<T>.Shared.Rent(count) : GC.AllocateUninitializedArray<T>(count);
        Memory = _array.AsMemory(0, count);
    }

    public Memory<T> Memory { get; private set; }

    public void Dispose()
    {
        if (_array is null)
            return;
        if (_isPooled)
            ArrayPool<T>.Shared.Return(_array);
        _array = null;
        Memory = default;
        _lease.Shrink(_bytes);
    }
}
