using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Vectors;

/// <summary>8 floats at a time.</summary>
internal readonly unsafe struct Operations256 : IVectorOperations<Vector256<float>>
{
    public static int Width => Vector256<float>.Count;

    public static int TileVectors => 2;

    public static Vector256<float> Zero => Vector256<float>.Zero;

    public static Vector256<float> Indices => Vector256<float>.Indices;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(float* source) => Vector256.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<float> value, float* target) => Vector256.Store(value, target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadBytes(byte* source) => Avx2.IsSupported
        ? Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32((sbyte*)source))
        : Vector256.Create(Operations128.LoadBytes(source), Operations128.LoadBytes(source + Vector128<int>.Count));

    // 1 load of all lanes, 2 shifts, 1 conversion.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadNibbles(byte* source)
    {
        if (!Avx2.IsSupported)
            return Vector256.Create(Operations128.LoadNibbles(source), Operations128.LoadNibbles(source + Vector128<int>.Count / 2));
        Vector256<int> bits = Vector256.Create(Unsafe.ReadUnaligned<int>(source));
        bits = Avx2.ShiftLeftLogicalVariable(bits, Vector256.Create(28u, 24u, 20u, 16u, 12u, 8u, 4u, 0u));
        return Vector256.ConvertToSingle(bits >> 28);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadBytesAsBits(byte* source, int shift, int mask) => Avx2.IsSupported
        ? ((Avx2.ConvertToVector256Int32((sbyte*)source) << shift) & Vector256.Create(mask)).AsSingle()
        : Vector256.Create(
            Operations128.LoadBytesAsBits(source, shift, mask),
            Operations128.LoadBytesAsBits(source + Vector128<int>.Count, shift, mask));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadShortsAsBits(ushort* source, int shift, int mask) => Avx2.IsSupported
        ? ((Avx2.ConvertToVector256Int32((short*)source) << shift) & Vector256.Create(mask)).AsSingle()
        : Vector256.Create(
            Operations128.LoadShortsAsBits(source, shift, mask),
            Operations128.LoadShortsAsBits(source + Vector128<int>.Count, shift, mask));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Broadcast(float value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Add(Vector256<float> left, Vector256<float> right) => left + right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Subtract(Vector256<float> left, Vector256<float> right) => left - right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Multiply(Vector256<float> left, Vector256<float> right) => left * right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Divide(Vector256<float> left, Vector256<float> right) => left / right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyAdd(Vector256<float> left, Vector256<float> right, Vector256<float> addend) =>
        Vector256.MultiplyAddEstimate(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Max(Vector256<float> left, Vector256<float> right) =>
        Vector256.MaxNative(left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Round(Vector256<float> value) => Vector256.Round(value);

    // The exponent's bits by integer arithmetic.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ScaleByPowerOfTwo(Vector256<float> value, Vector256<float> exponent) =>
        value * (Vector256.ConvertToInt32Native(exponent + Vector256.Create(127f)) << 23).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SelectLess(
        Vector256<float> left, Vector256<float> right, Vector256<float> whenLess, Vector256<float> otherwise) =>
        Vector256.ConditionalSelect(Vector256.LessThan(left, right), whenLess, otherwise);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SelectZero(byte* bytes, Vector256<float> whenZero, Vector256<float> otherwise)
    {
        Vector256<int> numbers = Widen(bytes);
        return Vector256.ConditionalSelect(Vector256.Equals(numbers, Vector256<int>.Zero).AsSingle(), whenZero, otherwise);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SelectEqual(int* left, int right, Vector256<float> whenEqual, Vector256<float> otherwise) =>
        Vector256.ConditionalSelect(Vector256.Equals(Vector256.Load(left), Vector256.Create(right)).AsSingle(), whenEqual, otherwise);

    /// <summary>Eight bytes as whole numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Widen(byte* bytes) => Avx2.IsSupported
        ? Avx2.ConvertToVector256Int32(bytes)
        : Vector256.Create(Operations128.Widen(bytes), Operations128.Widen(bytes + Vector128<int>.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector256<float> value) => Vector256.Sum(value);

    // With 256 bits 14 shuffles and 7 additions: elements are added within halves of vectors, then the halves.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SumEach(
        Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d,
        Vector256<float> e, Vector256<float> f, Vector256<float> g, Vector256<float> h)
    {
        if (!Avx.IsSupported)
        {
            return Operations128.SumEach(
                a.GetLower() + a.GetUpper(), b.GetLower() + b.GetUpper(), c.GetLower() + c.GetUpper(), d.GetLower() + d.GetUpper(),
                e.GetLower() + e.GetUpper(), f.GetLower() + f.GetUpper(), g.GetLower() + g.GetUpper(), h.GetLower() + h.GetUpper());
        }

        Vector256<float> low = AddPairs(AddEach(a, b), AddEach(c, d));
        Vector256<float> high = AddPairs(AddEach(e, f), AddEach(g, h));
        return Avx.Permute2x128(low, high, 0x20) + Avx.Permute2x128(low, high, 0x31);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SumEach(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d) =>
        Operations128.SumEach(
            a.GetLower() + a.GetUpper(), b.GetLower() + b.GetUpper(), c.GetLower() + c.GetUpper(), d.GetLower() + d.GetUpper());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vector256<float> value) => Operations128.Largest(Vector128.MaxNative(value.GetLower(), value.GetUpper()));

    // Within each half: left 0 + 2, right 0 + 2, left 1 + 3, right 1 + 3.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> AddEach(Vector256<float> left, Vector256<float> right) =>
        Avx.UnpackLow(left, right) + Avx.UnpackHigh(left, right);

    // Of sums of such pairs: within each half the two of the left, then the two of the right.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> AddPairs(Vector256<float> left, Vector256<float> right) =>
        Avx.UnpackLow(left.AsDouble(), right.AsDouble()).AsSingle() + Avx.UnpackHigh(left.AsDouble(), right.AsDouble()).AsSingle();
}
