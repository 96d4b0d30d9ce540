using System.Buffers;

namespace AttentionGpu.Hosting.Scheduling;

/// <summary>The host memory that batches are joined in. Tests put one in its place that has none left.</summary>
internal class BatchMemory
{
    /// <summary>The one that has what the system has.</summary>
    public static BatchMemory Shared { get; } = new();

    /// <summary>An array of at least so many elements, to be returned.</summary>
    public virtual T[] Rent<T>(int length)
        where T : unmanaged => ArrayPool<T>.Shared.Rent(length);

    /// <summary>Takes an array back.</summary>
    public virtual void Return<T>(T[] array)
        where T : unmanaged => ArrayPool<T>.Shared.Return(array);
}
