using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Memory;

namespace AttentionGpu.Backends.Simd.Memory;

/// <summary>Rows of elements of any type, as floats: where they are if they are floats, else converted on load and on store.</summary>
internal static unsafe class ElementRows
{
    private const float TwoToThe112 = 5192296858534827628530496329220096f;

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
        nint bytes = stride * type.Size();
        for (int row = 0; row < count; row++)
            Load(rows + row * bytes, type, converted + (nint)row * size, size);
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
                LoadHalf((ushort*)source, target, count);
                break;
            case ElementType.BFloat16:
                LoadBFloat16((ushort*)source, target, count);
                break;
            default:
                throw ElementTypes.Unknown(type);
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
            case ElementType.BFloat16:
                StoreBFloat16(source, (ushort*)target, count);
                break;
            default:
                throw ElementTypes.Unknown(type);
        }
    }

    /// <summary>Makes all elements one value, which the type must have exactly.</summary>
    public static void Fill(byte* target, ElementType type, int count, float value)
    {
        switch (type)
        {
            case ElementType.Float32:
                new Span<float>(target, count).Fill(value);
                break;
            case ElementType.Float16:
                new Span<Half>(target, count).Fill((Half)value);
                break;
            case ElementType.BFloat16:
                new Span<BFloat16Element>(target, count).Fill(BFloat16Element.FromSingle(value));
                break;
            default:
                throw ElementTypes.Unknown(type);
        }
    }

    // 16 elements: 1 load, 1 widening, 1 shift, 1 store.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void LoadBFloat16(ushort* source, float* target, int count)
    {
        int i = 0;
        for (; i + Vector512<float>.Count <= count; i += Vector512<float>.Count)
            (Widen(source + i) << 16).AsSingle().Store(target + i);
        for (; i < count; i++)
            target[i] = new BFloat16Element { Bits = source[i] }.ToSingle();
    }

    // 16 elements: 1 load, 6 operations, 1 narrowing, 1 store. The upper half, rounded to the nearest, ties to even; NaN is the quiet one.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void StoreBFloat16(float* source, ushort* target, int count)
    {
        const uint quiet = 0x7FC0;
        int i = 0;
        for (; i + Vector512<float>.Count <= count; i += Vector512<float>.Count)
        {
            Vector512<float> value = Vector512.Load(source + i);
            Vector512<uint> bits = value.AsUInt32();
            Vector512<uint> rounded = (bits + Vector512.Create(0x7FFFu) + ((bits >> 16) & Vector512<uint>.One)) >> 16;
            rounded = Vector512.ConditionalSelect(Vector512.Equals(value, value).AsUInt32(), rounded, Vector512.Create(quiet));
            Vector256.Narrow(rounded.GetLower(), rounded.GetUpper()).Store(target + i);
        }

        for (; i < count; i++)
            target[i] = BFloat16Element.FromSingle(source[i]).Bits;
    }

    // 16 elements: 1 load, 1 widening, 8 operations, 1 store. The bits of a half, moved to those of a single, are 2^-112 of its value, also
    // below its normal numbers; only infinity and NaN must be put right.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void LoadHalf(ushort* source, float* target, int count)
    {
        const int fractionShift = 13;
        Vector512<uint> sizeBits = Vector512.Create(0x7FFFu);
        Vector512<int> largest = Vector512.Create(0x7BFF);
        Vector512<uint> infinity = Vector512.Create(0x7F800000u);
        Vector512<float> scale = Vector512.Create(TwoToThe112);
        int i = 0;
        for (; i + Vector512<float>.Count <= count; i += Vector512<float>.Count)
        {
            Vector512<uint> bits = Widen(source + i);
            Vector512<uint> size = bits & sizeBits;
            Vector512<uint> value = ((size << fractionShift).AsSingle() * scale).AsUInt32();
            value = Vector512.ConditionalSelect(Vector512.GreaterThan(size.AsInt32(), largest).AsUInt32(), value | infinity, value);
            (value | (bits ^ size) << 16).AsSingle().Store(target + i);
        }

        for (; i < count; i++)
            target[i] = new HalfElement { Bits = source[i] }.ToSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Widen(ushort* source) => Vector512.WidenLower(Vector256.Load(source).ToVector512Unsafe());
}
