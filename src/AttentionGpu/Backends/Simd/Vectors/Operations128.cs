using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Vectors;

/// <summary>4 floats at a time.</summary>
internal readonly unsafe struct Operations128 : IVectorOperations<Vector128<float>>
{
    public static int Width => Vector128<float>.Count;

    public static int TileVectors => 2;

    public static Vector128<float> Zero => Vector128<float>.Zero;

    public static Vector128<float> Indices => Vector128<float>.Indices;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load(float* source) => Vector128.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector128<float> value, float* target) => Vector128.Store(value, target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadBytes(byte* source) => Vector128.ConvertToSingle(WidenSigned(source));

    // A product with a power of two is a shift of each element by itself.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadNibbles(byte* source)
    {
        Vector128<int> bits = Vector128.Create((int)Unsafe.ReadUnaligned<ushort>(source));
        bits = Avx2.IsSupported
            ? Avx2.ShiftLeftLogicalVariable(bits, Vector128.Create(28u, 24u, 20u, 16u))
            : bits * Vector128.Create(1 << 28, 1 << 24, 1 << 20, 1 << 16);
        return Vector128.ConvertToSingle(bits >> 28);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadBytesAsBits(byte* source, int shift, int mask) =>
        ((WidenSigned(source) << shift) & Vector128.Create(mask)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadShortsAsBits(ushort* source, int shift, int mask) =>
        ((Vector128.WidenLower(Vector128.CreateScalar(Unsafe.ReadUnaligned<ulong>(source)).AsInt16()) << shift)
            & Vector128.Create(mask)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Broadcast(float value) => Vector128.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Add(Vector128<float> left, Vector128<float> right) => left + right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Subtract(Vector128<float> left, Vector128<float> right) => left - right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Multiply(Vector128<float> left, Vector128<float> right) => left * right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Divide(Vector128<float> left, Vector128<float> right) => left / right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyAdd(Vector128<float> left, Vector128<float> right, Vector128<float> addend) =>
        Vector128.MultiplyAddEstimate(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Max(Vector128<float> left, Vector128<float> right) =>
        Vector128.MaxNative(left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Round(Vector128<float> value) => Vector128.Round(value);

    // The exponent's bits by integer arithmetic.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ScaleByPowerOfTwo(Vector128<float> value, Vector128<float> exponent) =>
        value * (Vector128.ConvertToInt32Native(exponent + Vector128.Create(127f)) << 23).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SelectLess(
        Vector128<float> left, Vector128<float> right, Vector128<float> whenLess, Vector128<float> otherwise) =>
        Vector128.ConditionalSelect(Vector128.LessThan(left, right), whenLess, otherwise);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SelectZero(byte* bytes, Vector128<float> whenZero, Vector128<float> otherwise)
    {
        Vector128<int> numbers = Widen(bytes);
        return Vector128.ConditionalSelect(Vector128.Equals(numbers, Vector128<int>.Zero).AsSingle(), whenZero, otherwise);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SelectEqual(int* left, int right, Vector128<float> whenEqual, Vector128<float> otherwise) =>
        Vector128.ConditionalSelect(Vector128.Equals(Vector128.Load(left), Vector128.Create(right)).AsSingle(), whenEqual, otherwise);

    /// <summary>Four bytes as whole numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Widen(byte* bytes) =>
        Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalar(Unsafe.ReadUnaligned<uint>(bytes)).AsByte())).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> WidenSigned(byte* bytes) =>
        Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalar(Unsafe.ReadUnaligned<uint>(bytes)).AsSByte()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector128<float> value) => Vector128.Sum(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SumEach(
        Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d,
        Vector128<float> e, Vector128<float> f, Vector128<float> g, Vector128<float> h) =>
        Vector256.Create(SumEach(a, b, c, d), SumEach(e, f, g, h));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SumEach(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d)
    {
        Vector128<float> pairs0 = Transpose4.InterleaveLow(a, b) + Transpose4.InterleaveHigh(a, b);
        Vector128<float> pairs1 = Transpose4.InterleaveLow(c, d) + Transpose4.InterleaveHigh(c, d);
        return Transpose4.InterleaveLow(pairs0.AsDouble(), pairs1.AsDouble()).AsSingle()
            + Transpose4.InterleaveHigh(pairs0.AsDouble(), pairs1.AsDouble()).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vector128<float> value)
    {
        value = Vector128.MaxNative(value, Vector128.Shuffle(value, Vector128.Create(2, 3, 0, 1)));
        return Vector128.MaxNative(value, Vector128.Shuffle(value, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }
}
