using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Vectors;

/// <summary>Moves a matrix into its transpose, in squares of four: 4 loads, 8 shuffles and 4 stores for 16 elements.</summary>
internal static unsafe class Transpose4
{
    public const int Size = 4;

    /// <summary>
    /// Target row j holds element j of each source row. Sources are multiplied by <paramref name="factors"/>, element by element.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Copy(
        float* source0, float* source1, float* source2, float* source3, float* target0, float* target1, float* target2, float* target3,
        Vector128<float> factors)
    {
        Vector128<float> row0 = Vector128.Load(source0) * factors;
        Vector128<float> row1 = Vector128.Load(source1) * factors;
        Vector128<float> row2 = Vector128.Load(source2) * factors;
        Vector128<float> row3 = Vector128.Load(source3) * factors;
        Store(row0, row1, row2, row3, target0, target1, target2, target3);
    }

    /// <summary>Target row j holds element j of each row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(
        Vector128<float> row0, Vector128<float> row1, Vector128<float> row2, Vector128<float> row3,
        float* target0, float* target1, float* target2, float* target3)
    {
        Vector128<float> low01 = InterleaveLow(row0, row1);
        Vector128<float> high01 = InterleaveHigh(row0, row1);
        Vector128<float> low23 = InterleaveLow(row2, row3);
        Vector128<float> high23 = InterleaveHigh(row2, row3);
        InterleaveLow(low01.AsDouble(), low23.AsDouble()).AsSingle().Store(target0);
        InterleaveHigh(low01.AsDouble(), low23.AsDouble()).AsSingle().Store(target1);
        InterleaveLow(high01.AsDouble(), high23.AsDouble()).AsSingle().Store(target2);
        InterleaveHigh(high01.AsDouble(), high23.AsDouble()).AsSingle().Store(target3);
    }

    /// <summary>The elements of the first half of each, in turn.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> InterleaveLow(Vector128<float> left, Vector128<float> right) =>
        Sse.IsSupported ? Sse.UnpackLow(left, right)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(left, right)
        : Vector128.Create(left[0], right[0], left[1], right[1]);

    /// <summary>The elements of the second half of each, in turn.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> InterleaveHigh(Vector128<float> left, Vector128<float> right) =>
        Sse.IsSupported ? Sse.UnpackHigh(left, right)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(left, right)
        : Vector128.Create(left[2], right[2], left[3], right[3]);

    /// <summary>The elements of the first half of each, in turn.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> InterleaveLow(Vector128<double> left, Vector128<double> right) =>
        Sse2.IsSupported ? Sse2.UnpackLow(left, right)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(left, right)
        : Vector128.Create(left[0], right[0]);

    /// <summary>The elements of the second half of each, in turn.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> InterleaveHigh(Vector128<double> left, Vector128<double> right) =>
        Sse2.IsSupported ? Sse2.UnpackHigh(left, right)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(left, right)
        : Vector128.Create(left[1], right[1]);
}
