using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Backends;

namespace AttentionGpu.Memory;

/// <summary>Copies between host tensors, dense or strided, and a backend's memory.</summary>
internal static class HostCopy
{
    public static void Upload<T>(IAttentionBackend backend, in ReadOnlyTensorSpan<T> source, DeviceMemory target)
        where T : unmanaged
    {
        if (source.FlattenedLength == 0)
            return;
        if (source.IsDense)
        {
            backend.Upload(ReadOnlyBytes(in source.GetPinnableReference(), source.FlattenedLength), target);
            return;
        }

        var dense = new T[source.FlattenedLength];
        source.FlattenTo(dense);
        backend.Upload(MemoryMarshal.AsBytes(dense.AsSpan()), target);
    }

    public static void Download<T>(IAttentionBackend backend, DeviceMemory source, in TensorSpan<T> target)
        where T : unmanaged
    {
        if (target.FlattenedLength == 0)
            return;
        if (target.IsDense)
        {
            backend.Download(source, Bytes(ref target.GetPinnableReference(), target.FlattenedLength));
            return;
        }

        var dense = new T[target.FlattenedLength];
        backend.Download(source, MemoryMarshal.AsBytes(dense.AsSpan()));
        new ReadOnlyTensorSpan<T>(dense, target.Lengths).CopyTo(target);
    }

    private static ReadOnlySpan<byte> ReadOnlyBytes<T>(ref readonly T first, nint count)
        where T : unmanaged =>
        MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(in first, checked((int)count)));

    private static Span<byte> Bytes<T>(ref T first, nint count)
        where T : unmanaged =>
        MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref first, checked((int)count)));
}
