using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Vectors;

/// <summary>16 floats at a time.</summary>
internal readonly unsafe struct Operations512 : IVectorOperations<Vector512<float>>
{
    public static int Width => Vector512<float>.Count;

    public static int TileVectors => 4;

    public static Vector512<float> Zero => Vector512<float>.Zero;

    public static Vector512<float> Indices => Vector512<float>.Indices;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* source) => Vector512.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> value, float* target) => Vector512.Store(value, target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadBytes(byte* source) => Avx512F.IsSupported
        ? Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load((sbyte*)source)))
        : Vector512.Create(Operations256.LoadBytes(source), Operations256.LoadBytes(source + Vector256<int>.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadNibbles(byte* source)
    {
        if (!Avx512F.IsSupported)
            return Vector512.Create(Operations256.LoadNibbles(source), Operations256.LoadNibbles(source + Vector256<int>.Count / 2));
        if (Avx512Vbmi.IsSupported)
        {
            // The low byte of each lane begins with its element; a permutation of the 16 numbers looks at 4 bits.
            Vector512<byte> codes = Avx512Vbmi.MultiShift(
                Vector512.Create(0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60).AsByte(),
                Vector512.Create(Unsafe.ReadUnaligned<ulong>(source)));
            return Avx512F.PermuteVar16x32(
                Vector512.Create(0f, 1f, 2f, 3f, 4f, 5f, 6f, 7f, -8f, -7f, -6f, -5f, -4f, -3f, -2f, -1f), codes.AsInt32());
        }

        Vector128<int> both = Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<long>(source)).AsInt32();
        Vector512<int> bits = Avx512F.PermuteVar16x32(
            both.ToVector256Unsafe().ToVector512Unsafe(), Vector512.Create(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
        bits = Avx512F.ShiftLeftLogicalVariable(
            bits, Vector512.Create(28u, 24u, 20u, 16u, 12u, 8u, 4u, 0u, 28u, 24u, 20u, 16u, 12u, 8u, 4u, 0u));
        return Vector512.ConvertToSingle(bits >> 28);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadBytesAsBits(byte* source, int shift, int mask) => Avx512F.IsSupported
        ? ((Avx512F.ConvertToVector512Int32(Vector128.Load((sbyte*)source)) << shift) & Vector512.Create(mask)).AsSingle()
        : Vector512.Create(
            Operations256.LoadBytesAsBits(source, shift, mask),
            Operations256.LoadBytesAsBits(source + Vector256<int>.Count, shift, mask));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadShortsAsBits(ushort* source, int shift, int mask) => Avx512F.IsSupported
        ? ((Avx512F.ConvertToVector512Int32(Vector256.Load((short*)source)) << shift) & Vector512.Create(mask)).AsSingle()
        : Vector512.Create(
            Operations256.LoadShortsAsBits(source, shift, mask),
            Operations256.LoadShortsAsBits(source + Vector256<int>.Count, shift, mask));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Broadcast(float value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(Vector512<float> left, Vector512<float> right) => left + right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Subtract(Vector512<float> left, Vector512<float> right) => left - right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Multiply(Vector512<float> left, Vector512<float> right) => left * right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Divide(Vector512<float> left, Vector512<float> right) => left / right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyAdd(Vector512<float> left, Vector512<float> right, Vector512<float> addend) =>
        Vector512.MultiplyAddEstimate(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Max(Vector512<float> left, Vector512<float> right) =>
        Vector512.MaxNative(left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Round(Vector512<float> value) => Vector512.Round(value);

    // One instruction where there are 512 bits in hardware; the other branch is for tests on a machine without.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ScaleByPowerOfTwo(Vector512<float> value, Vector512<float> exponent) =>
        Avx512F.IsSupported
            ? Avx512F.Scale(value, exponent)
            : value * (Vector512.ConvertToInt32Native(exponent + Vector512.Create(127f)) << 23).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> SelectLess(
        Vector512<float> left, Vector512<float> right, Vector512<float> whenLess, Vector512<float> otherwise) =>
        Vector512.ConditionalSelect(Vector512.LessThan(left, right), whenLess, otherwise);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> SelectZero(byte* bytes, Vector512<float> whenZero, Vector512<float> otherwise)
    {
        Vector512<int> numbers = Avx512F.IsSupported
            ? Avx512F.ConvertToVector512Int32(Vector128.Load(bytes))
            : Vector512.Create(Operations256.Widen(bytes), Operations256.Widen(bytes + Vector256<int>.Count));
        return Vector512.ConditionalSelect(Vector512.Equals(numbers, Vector512<int>.Zero).AsSingle(), whenZero, otherwise);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> SelectEqual(int* left, int right, Vector512<float> whenEqual, Vector512<float> otherwise) =>
        Vector512.ConditionalSelect(Vector512.Equals(Vector512.Load(left), Vector512.Create(right)).AsSingle(), whenEqual, otherwise);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector512<float> value) => Vector512.Sum(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SumEach(
        Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d,
        Vector512<float> e, Vector512<float> f, Vector512<float> g, Vector512<float> h) =>
        Operations256.SumEach(
            a.GetLower() + a.GetUpper(), b.GetLower() + b.GetUpper(), c.GetLower() + c.GetUpper(), d.GetLower() + d.GetUpper(),
            e.GetLower() + e.GetUpper(), f.GetLower() + f.GetUpper(), g.GetLower() + g.GetUpper(), h.GetLower() + h.GetUpper());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SumEach(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d) =>
        Operations256.SumEach(
            a.GetLower() + a.GetUpper(), b.GetLower() + b.GetUpper(), c.GetLower() + c.GetUpper(), d.GetLower() + d.GetUpper());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vector512<float> value) => Operations256.Largest(Vector256.MaxNative(value.GetLower(), value.GetUpper()));
}
