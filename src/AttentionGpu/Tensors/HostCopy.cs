using System.Buffers;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using AttentionGpu.Elements;
using AttentionGpu.Memory;

namespace AttentionGpu.Tensors;

/// <summary>Copies between host tensors, dense or strided, and a device's memory, or to a stream.</summary>
internal static class HostCopy
{
    private const int ChunkElements = 1 << 24;

    public static void Upload<T>(IDeviceMemory memory, in ReadOnlyTensorSpan<T> source, DeviceMemory target)
        where T : unmanaged
    {
        if (source.FlattenedLength == 0)
            return;
        ReadOnlyTensorSpan<T> dense = Dense(source);
        for (nint start = 0; start < dense.FlattenedLength; start += ChunkElements)
        {
            ReadOnlySpan<T> chunk = Chunk(dense, start);
            memory.Upload(MemoryMarshal.AsBytes(chunk), target.Slice<T>(start, chunk.Length));
        }
    }

    /// <summary>Copies floats to a device, rounded to an element type.</summary>
    public static void UploadRounded(IDeviceMemory memory, in ReadOnlyTensorSpan<float> source, ElementType element, DeviceMemory target)
    {
        if (element == ElementType.Float32)
        {
            Upload(memory, source, target);
            return;
        }

        if (source.FlattenedLength == 0)
            return;
        ReadOnlyTensorSpan<float> dense = Dense(source);
        var rounded = new byte[Math.Min(ChunkElements, dense.FlattenedLength) * element.Size()];
        for (nint start = 0; start < dense.FlattenedLength; start += ChunkElements)
        {
            ReadOnlySpan<float> chunk = Chunk(dense, start);
            Span<byte> bytes = rounded.AsSpan(0, chunk.Length * element.Size());
            Round(chunk, element, bytes);
            memory.Upload(bytes, target.Slice<byte>(start * element.Size(), bytes.Length));
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

    public static void Download<T>(IDeviceMemory memory, DeviceMemory source, in TensorSpan<T> target)
        where T : unmanaged
    {
        if (target.FlattenedLength == 0)
            return;
        if (!ShapeRules.IsContiguous(target.Lengths, target.Strides))
        {
            var dense = new T[target.FlattenedLength];
            Download(memory, source, new TensorSpan<T>(dense));
            new ReadOnlyTensorSpan<T>(dense, target.Lengths).CopyTo(target);
            return;
        }

        ref T first = ref target.GetPinnableReference();
        for (nint start = 0; start < target.FlattenedLength; start += ChunkElements)
        {
            int count = (int)Math.Min(ChunkElements, target.FlattenedLength - start);
            Span<T> chunk = MemoryMarshal.CreateSpan(ref Unsafe.Add(ref first, start), count);
            memory.Download(source.Slice<T>(start, count), MemoryMarshal.AsBytes(chunk));
        }
    }

    /// <summary>Copies the rows of each matrix from one on to the host. The source is dense, the target a stack of matrices.</summary>
    public static void DownloadRows<T>(IDeviceMemory memory, DeviceMemory source, in TensorSpan<T> target, int firstRow)
        where T : unmanaged
    {
        int axes = target.Rank;
        (nint rows, nint size) = (target.Lengths[^2], target.Lengths[^1]);
        nint count = (rows - firstRow) * size;
        if (count == 0)
            return;
        Span<NRange> part = stackalloc NRange[axes];
        part[^1] = NRange.All;
        part[^2] = firstRow..;
        nint matrices = target.FlattenedLength / (rows * size);
        for (nint matrix = 0; matrix < matrices; matrix++)
        {
            nint rest = matrix;
            for (int axis = axes - 3; axis >= 0; axis--)
            {
                (rest, nint index) = Math.DivRem(rest, target.Lengths[axis]);
                part[axis] = new NRange(index, index + 1);
            }

            Download(memory, source.Slice<T>((matrix * rows + firstRow) * size, count), target.Slice(part));
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

    /// <summary>Rounds floats to a 16-bit element type.</summary>
    public static void Round(ReadOnlySpan<float> source, ElementType element, Span<byte> target)
    {
        switch (element)
        {
            case ElementType.Float16:
                TensorPrimitives.ConvertToHalf(source, MemoryMarshal.Cast<byte, Half>(target));
                break;
            case ElementType.BFloat16:
                Span<BFloat16> elements = MemoryMarshal.Cast<byte, BFloat16>(target);
                for (int i = 0; i < source.Length; i++)
                    elements[i] = (BFloat16)source[i];
                break;
            default:
                throw ElementTypes.Unknown(element);
        }
    }
}
