using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using AttentionGpu.Backends;
using AttentionGpu.Operators;

namespace AttentionGpu.Memory;

/// <summary>Copies between host tensors, dense or strided, and a backend's memory, or to a stream.</summary>
internal static class HostCopy
{
    private const int ChunkElements = 1 << 24;

    public static void Upload<T>(IAttentionBackend backend, in ReadOnlyTensorSpan<T> source, DeviceMemory target)
        where T : unmanaged
    {
        if (source.FlattenedLength == 0)
            return;
        ReadOnlyTensorSpan<T> dense = Dense(source);
        for (nint start = 0; start < dense.FlattenedLength; start += ChunkElements)
        {
            ReadOnlySpan<T> chunk = Chunk(dense, start);
            backend.Upload(MemoryMarshal.AsBytes(chunk), target.Slice<T>(start, chunk.Length));
        }
    }

    /// <summary>Writes a tensor's elements, in order.</summary>
    public static void Write<T>(Stream stream, in ReadOnlyTensorSpan<T> source)
        where T : unmanaged
    {
        if (source.FlattenedLength == 0)
            return;
        ReadOnlyTensorSpan<T> dense = Dense(source);
        for (nint start = 0; start < dense.FlattenedLength; start += ChunkElements)
            stream.Write(MemoryMarshal.AsBytes(Chunk(dense, start)));
    }

    public static void Download<T>(IAttentionBackend backend, DeviceMemory source, in TensorSpan<T> target)
        where T : unmanaged
    {
        if (target.FlattenedLength == 0)
            return;
        if (!ShapeRules.IsContiguous(target.Lengths, target.Strides))
        {
            var dense = new T[target.FlattenedLength];
            Download(backend, source, new TensorSpan<T>(dense));
            new ReadOnlyTensorSpan<T>(dense, target.Lengths).CopyTo(target);
            return;
        }

        ref T first = ref target.GetPinnableReference();
        for (nint start = 0; start < target.FlattenedLength; start += ChunkElements)
        {
            int count = (int)Math.Min(ChunkElements, target.FlattenedLength - start);
            Span<T> chunk = MemoryMarshal.CreateSpan(ref Unsafe.Add(ref first, start), count);
            backend.Download(source.Slice<T>(start, count), MemoryMarshal.AsBytes(chunk));
        }
    }

    private static ReadOnlyTensorSpan<T> Dense<T>(in ReadOnlyTensorSpan<T> source)
    {
        if (ShapeRules.IsContiguous(source.Lengths, source.Strides))
            return source;
        var copy = new T[source.FlattenedLength];
        source.FlattenTo(copy);
        return copy;
    }

    // A span counts its bytes in 31 bits; a tensor may have more.
    private static ReadOnlySpan<T> Chunk<T>(in ReadOnlyTensorSpan<T> dense, nint start) => MemoryMarshal.CreateReadOnlySpan(
        in Unsafe.Add(ref Unsafe.AsRef(in dense.GetPinnableReference()), start), (int)Math.Min(ChunkElements, dense.FlattenedLength - start));
}
