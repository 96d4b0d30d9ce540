using System.Runtime.CompilerServices;

namespace AttentionGpu.Memory;

/// <summary>Pinned host memory for backends that compute on the host.</summary>
internal sealed class HostPool
{
    private readonly SizeClassPool<byte[]> _pool = new(bytes => GC.AllocateUninitializedArray<byte>(checked((int)bytes), pinned: true));

    public unsafe DeviceMemory Rent(long byteLength)
    {
        if (byteLength > Array.MaxLength / 2)
            throw new NotSupportedException($"A tensor of {byteLength:N0} bytes is more than one host allocation can hold ({Array.MaxLength / 2:N0}).");
        byte[] array = _pool.Rent(byteLength);
        return DeviceMemory.OnHost(array, (nint)Unsafe.AsPointer(ref array[0]), byteLength);
    }

    public void Return(DeviceMemory memory)
    {
        if (memory.Owner is byte[] array)
            _pool.Return(array, array.Length);
    }
}
