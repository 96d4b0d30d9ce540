using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Vectors;

/// <summary>Squares of 16 x 16 bytes: rows of a mask become its columns.</summary>
internal static unsafe class ByteSquare
{
    public const int Size = 16;

    /// <summary>Whether the processor has the instructions for <see cref="Transpose"/>.</summary>
    public static bool IsSupported => Sse2.IsSupported || AdvSimd.Arm64.IsSupported;

    /// <summary><c>target[j][i] = rows[i][first + j]</c>: 16 loads, 64 interleavings, 16 stores.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose(byte** rows, nint first, byte* target)
    {
        InterleaveFour(rows, first, out Vector128<float> a0, out Vector128<float> a1, out Vector128<float> a2, out Vector128<float> a3);
        InterleaveFour(rows + 4, first, out Vector128<float> b0, out Vector128<float> b1, out Vector128<float> b2, out Vector128<float> b3);
        InterleaveFour(rows + 8, first, out Vector128<float> c0, out Vector128<float> c1, out Vector128<float> c2, out Vector128<float> c3);
        InterleaveFour(
            rows + 12, first, out Vector128<float> d0, out Vector128<float> d1, out Vector128<float> d2, out Vector128<float> d3);
        var columns = (float*)target;
        Transpose4.Store(a0, b0, c0, d0, columns, columns + 4, columns + 8, columns + 12);
        Transpose4.Store(a1, b1, c1, d1, columns + 16, columns + 20, columns + 24, columns + 28);
        Transpose4.Store(a2, b2, c2, d2, columns + 32, columns + 36, columns + 40, columns + 44);
        Transpose4.Store(a3, b3, c3, d3, columns + 48, columns + 52, columns + 56, columns + 60);
    }

    /// <summary>The same for fewer columns than 16, or for elements that are not neighbours.</summary>
    public static void Gather(byte** rows, nint first, long stride, int columns, byte* target)
    {
        for (int column = 0; column < columns; column++)
        {
            for (int row = 0; row < Size; row++)
                target[column * Size + row] = rows[row][(first + column) * stride];
        }
    }

    // Four rows: four bytes of a column side by side, four columns a vector.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void InterleaveFour(
        byte** rows, nint first, out Vector128<float> columns0, out Vector128<float> columns4, out Vector128<float> columns8,
        out Vector128<float> columns12)
    {
        Vector128<byte> row0 = Vector128.Load(rows[0] + first);
        Vector128<byte> row1 = Vector128.Load(rows[1] + first);
        Vector128<byte> row2 = Vector128.Load(rows[2] + first);
        Vector128<byte> row3 = Vector128.Load(rows[3] + first);
        Vector128<ushort> low01 = InterleaveLow(row0, row1).AsUInt16();
        Vector128<ushort> high01 = InterleaveHigh(row0, row1).AsUInt16();
        Vector128<ushort> low23 = InterleaveLow(row2, row3).AsUInt16();
        Vector128<ushort> high23 = InterleaveHigh(row2, row3).AsUInt16();
        columns0 = InterleaveLow(low01, low23).AsSingle();
        columns4 = InterleaveHigh(low01, low23).AsSingle();
        columns8 = InterleaveLow(high01, high23).AsSingle();
        columns12 = InterleaveHigh(high01, high23).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> InterleaveLow(Vector128<byte> left, Vector128<byte> right) =>
        Sse2.IsSupported ? Sse2.UnpackLow(left, right) : AdvSimd.Arm64.ZipLow(left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> InterleaveHigh(Vector128<byte> left, Vector128<byte> right) =>
        Sse2.IsSupported ? Sse2.UnpackHigh(left, right) : AdvSimd.Arm64.ZipHigh(left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ushort> InterleaveLow(Vector128<ushort> left, Vector128<ushort> right) =>
        Sse2.IsSupported ? Sse2.UnpackLow(left, right) : AdvSimd.Arm64.ZipLow(left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ushort> InterleaveHigh(Vector128<ushort> left, Vector128<ushort> right) =>
        Sse2.IsSupported ? Sse2.UnpackHigh(left, right) : AdvSimd.Arm64.ZipHigh(left, right);
}
