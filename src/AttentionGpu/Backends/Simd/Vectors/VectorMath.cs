using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Vectors;

/// <summary>Elementary functions on vectors.</summary>
internal static unsafe class VectorMath<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // Powers below 2^-110 are 0, and are not computed: an operation with a subnormal operand or result takes a hundred cycles and more on
    // Intel's processors, and -inf would make a NaN further on. From 2^-110 on, products with values of 2^-16 and more are normal too.
    private const float Lowest = -76.2462f;
    private const float LowestBinary = -110f;

    private static bool IsFused
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Fma.IsSupported || AdvSimd.IsSupported;
    }

    /// <summary>
    /// e to the power of x, for x of 0 or less, -inf or NaN: under 2 ulp for results of at least 2^-110, and 0 for those that would be
    /// smaller. Cody and Waite: x = n ln 2 + f with ln 2 in two parts, of which the first times n is exact; e^f by a
    /// polynomial of degree 5, off by 9.2e-8 of the result at most; of degree 6 where multiply-adds are not fused.
    /// </summary>
    /// <remarks>With 512 bits 13 operations, 7 of them multiply-adds; where there is no instruction for the scale, 3 more.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector ExpOfNonPositive(TVector x)
    {
        TVector lowest = TOperations.Broadcast(Lowest);
        TVector raised = TOperations.Max(lowest, x);
        TVector n = TOperations.Round(TOperations.Multiply(raised, TOperations.Broadcast(1.44269504f)));
        TVector f = TOperations.MultiplyAdd(n, TOperations.Broadcast(-0.693359375f), raised);
        f = TOperations.MultiplyAdd(n, TOperations.Broadcast(2.12194440e-4f), f);
        TVector power = IsFused
            ? Polynomial(f, 8.2903126423e-3f, 4.1897930295e-2f, 1.6667636228e-1f, 4.9999149520e-1f, 9.9999970718e-1f)
            : Polynomial(f, 1.3843651180e-3f, 8.3741555837e-3f, 4.1668002094e-2f, 1.6666431258e-1f, 4.9999994209e-1f, 1.0000000322f);
        return TOperations.SelectLess(x, lowest, TOperations.Zero, TOperations.ScaleByPowerOfTwo(power, n));
    }

    /// <summary>
    /// 2 to the power of x, for x of 0 or less, -inf or NaN: under 2 ulp for results of at least 2^-110, and 0 for those that would be
    /// smaller. x = n + f, exactly; 2^f by a polynomial of degree 5, off by 1.06 ulp at most; of degree 6 where
    /// multiply-adds are not fused.
    /// </summary>
    /// <remarks>With 512 bits 11 operations, 5 of them multiply-adds; where there is no instruction for the scale, 3 more.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Exp2OfNonPositive(TVector x)
    {
        TVector lowest = TOperations.Broadcast(LowestBinary);
        TVector raised = TOperations.Max(lowest, x);
        TVector n = TOperations.Round(raised);
        TVector f = TOperations.Subtract(raised, n);
        TVector power = IsFused
            ? Polynomial(f, 1.3224396389e-3f, 9.6717216074e-3f, 5.5508963764e-2f, 2.4022237957e-1f, 6.9314682484e-1f)
            : Polynomial(f, 1.5291622549e-4f, 1.3390982058e-3f, 9.6186529845e-3f, 5.5503595620e-2f, 2.4022646248e-1f, 6.9314718246e-1f);
        return TOperations.SelectLess(x, lowest, TOperations.Zero, TOperations.ScaleByPowerOfTwo(power, n));
    }

    // Horner's scheme, with 1 as the last coefficient.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Polynomial(TVector x, float c5, float c4, float c3, float c2, float c1) =>
        Polynomial(x, TOperations.MultiplyAdd(x, TOperations.Broadcast(c5), TOperations.Broadcast(c4)), c3, c2, c1);

    // One degree more makes room for products that are rounded by themselves.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Polynomial(TVector x, float c6, float c5, float c4, float c3, float c2, float c1)
    {
        TVector sum = TOperations.MultiplyAdd(x, TOperations.Broadcast(c6), TOperations.Broadcast(c5));
        return Polynomial(x, TOperations.MultiplyAdd(sum, x, TOperations.Broadcast(c4)), c3, c2, c1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Polynomial(TVector x, TVector sum, float c3, float c2, float c1)
    {
        sum = TOperations.MultiplyAdd(sum, x, TOperations.Broadcast(c3));
        sum = TOperations.MultiplyAdd(sum, x, TOperations.Broadcast(c2));
        sum = TOperations.MultiplyAdd(sum, x, TOperations.Broadcast(c1));
        return TOperations.MultiplyAdd(sum, x, TOperations.Broadcast(1f));
    }

    /// <summary>
    /// The hyperbolic tangent: under 2 ulp, exactly x near 0, -0 too, and exactly 1 from about 9 up. 1 - 2 e^-2x / (1 + e^-2x), and near 0,
    /// where that loses digits, x times an even polynomial (Moshier's Cephes library). NaN stays NaN.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Tanh(TVector x)
    {
        const float small = 0.625f;
        TVector one = TOperations.Broadcast(1f);
        TVector size = TOperations.Max(TOperations.Subtract(TOperations.Zero, x), x);
        TVector decay = ExpOfNonPositive(TOperations.Multiply(size, TOperations.Broadcast(-2f)));
        TVector half = TOperations.Divide(decay, TOperations.Add(one, decay));
        TVector large = TOperations.MultiplyAdd(half, TOperations.Broadcast(-2f), one);
        large = TOperations.SelectLess(x, TOperations.Zero, TOperations.Subtract(TOperations.Zero, large), large);
        TVector square = TOperations.Multiply(x, x);
        TVector sum = TOperations.MultiplyAdd(square, TOperations.Broadcast(-5.70498872745e-3f), TOperations.Broadcast(2.06390887954e-2f));
        sum = TOperations.MultiplyAdd(sum, square, TOperations.Broadcast(-5.37397155531e-2f));
        sum = TOperations.MultiplyAdd(sum, square, TOperations.Broadcast(1.33314422036e-1f));
        sum = TOperations.MultiplyAdd(sum, square, TOperations.Broadcast(-3.33332819422e-1f));
        TVector near = TOperations.Multiply(TOperations.MultiplyAdd(sum, square, one), x);
        return TOperations.SelectLess(size, TOperations.Broadcast(small), near, large);
    }
}
