using System.Runtime.CompilerServices;

namespace AttentionGpu.Memory;

/// <summary>Pinned host memory for backends that compute on the host; each block starts at a cache line.</summary>
/// <param name="limit">Bytes of all blocks at most.</param>
internal sealed class HostPool(long limit)
{
    private const int CacheLine = 64;

    private readonly SizeClassPool<byte[]> _pool = new(
        bytes => GC.AllocateUninitializedArray<byte>(checked((int)bytes + CacheLine), pinned: true), _ => { }, limit);

    /// <summary>Bytes of what is rented.</summary>
    public long BytesInUse => _pool.BytesInUse;

    public unsafe DeviceMemory Rent(long byteLength)
    {
        if (byteLength > Array.MaxLength / 2)
            throw new NotSupportedException($"A tensor of {byteLength:N0} bytes is more than one host allocation can hold ({Array.MaxLength / 2:N0}).");
        byte[] array = _pool.Rent(byteLength);
        return DeviceMemory.OnHost(array, ((nint)Unsafe.AsPointer(ref array[0]) + CacheLine - 1) & -CacheLine, byteLength);
    }

    public void Return(DeviceMemory memory)
    {
        if (memory.Owner is byte[] array)
            _pool.Return(array, array.Length - CacheLine);
    }
}
