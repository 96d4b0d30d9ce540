using System.Buffers;
using System.Runtime.CompilerServices;

namespace AttentionGpu.Hosting.Scheduling;

/// <summary>The host memory that batches are joined in. Tests put one in its place that has none left.</summary>
internal class BatchMemory
{
    // The shared pool keeps arrays for a minute and more, many of each size. Larger ones are left to the collector.
    private const long MaxPooledBytes = 1 << 20;

    /// <summary>The one that has what the system has.</summary>
    public static BatchMemory Shared { get; } = new();

    /// <summary>An array of at least so many elements, to be returned.</summary>
    public virtual T[] Rent<T>(int length)
        where T : unmanaged =>
        IsPooled<T>(length) ? ArrayPool<T>.Shared.Rent(length) : GC.AllocateUninitializedArray<T>(length);

    /// <summary>Takes an array back.</summary>
    public virtual void Return<T>(T[] array)
        where T : unmanaged
    {
        if (IsPooled<T>(array.Length))
            ArrayPool<T>.Shared.Return(array);
    }

    private static bool IsPooled<T>(int length)
        where T : unmanaged => (long)length * Unsafe.SizeOf<T>() <= MaxPooledBytes;
}
