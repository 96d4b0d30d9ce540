using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using AttentionGpu.Kernels.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Memory;

/// <summary>Rows of elements of any type, as floats: where they are if they are floats, else converted on load and on store.</summary>
internal static unsafe class ElementRows
{
    /// <summary>The address of an element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Address(DeviceMemory memory, ElementType type, long element) => memory.Pointer<byte>() + element * type.Size();

    /// <summary>
    /// The rows as floats: their own address and stride, or that of <paramref name="converted"/>, where they are put side by side.
    /// </summary>
    /// <param name="rows">The first row.</param>
    /// <param name="type">What its elements are.</param>
    /// <param name="stride">Elements from one row to the next; of the returned rows afterwards.</param>
    /// <param name="count">Rows.</param>
    /// <param name="size">Elements of a row.</param>
    /// <param name="converted">Room for all of them.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float* Read(byte* rows, ElementType type, ref nint stride, int count, int size, float* converted)
    {
        if (type == ElementType.Float32)
            return (float*)rows;
        for (int row = 0; row < count; row++)
            Load(rows + row * stride * type.Size(), type, converted + (nint)row * size, size);
        stride = size;
        return converted;
    }

    /// <summary>Converts elements to floats.</summary>
    public static void Load(byte* source, ElementType type, float* target, int count)
    {
        switch (type)
        {
            case ElementType.Float32:
                new ReadOnlySpan<float>(source, count).CopyTo(new Span<float>(target, count));
                break;
            case ElementType.Float16:
                TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>(source, count), new Span<float>(target, count));
                break;
            default:
                LoadBFloat16((ushort*)source, target, count);
                break;
        }
    }

    /// <summary>Converts floats to elements.</summary>
    public static void Store(float* source, byte* target, ElementType type, int count)
    {
        switch (type)
        {
            case ElementType.Float32:
                new ReadOnlySpan<float>(source, count).CopyTo(new Span<float>(target, count));
                break;
            case ElementType.Float16:
                TensorPrimitives.ConvertToHalf(new ReadOnlySpan<float>(source, count), new Span<Half>(target, count));
                break;
            default:
                for (int i = 0; i < count; i++)
                    ((BFloat16Element*)target)[i] = BFloat16Element.FromSingle(source[i]);
                break;
        }
    }

    // A load, two widenings with a shift each, and two stores for eight elements.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void LoadBFloat16(ushort* source, float* target, int count)
    {
        int i = 0;
        for (; i + Vector128<ushort>.Count <= count; i += Vector128<ushort>.Count)
        {
            (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(Vector128.Load(source + i));
            (low << 16).AsSingle().Store(target + i);
            (high << 16).AsSingle().Store(target + i + Vector128<float>.Count);
        }

        for (; i < count; i++)
            target[i] = new BFloat16Element { Bits = source[i] }.ToSingle();
    }
}
