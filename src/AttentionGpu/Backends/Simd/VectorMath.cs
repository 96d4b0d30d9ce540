using System.Runtime.CompilerServices;

namespace AttentionGpu.Backends.Simd;

/// <summary>Elementary functions on vectors.</summary>
internal static unsafe class VectorMath<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // Below it the result is less than the smallest normal number: it is 0.
    private const float Underflow = -87.3365447f;

    /// <summary>
    /// e to the power of x, for x of 0 or less, -inf or NaN: under 2 ulp for results that are normal numbers, else 0. Cephes' expf: x = n ln 2 + f with
    /// ln 2 in two parts, a polynomial of degree 7 in f. 13 operations, 8 of them multiply-adds.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector ExpOfNonPositive(TVector x)
    {
        TVector n = TOperations.Round(TOperations.Multiply(x, TOperations.Broadcast(1.44269504f)));
        TVector f = TOperations.MultiplyAdd(n, TOperations.Broadcast(-0.693359375f), x);
        f = TOperations.MultiplyAdd(n, TOperations.Broadcast(2.12194440e-4f), f);
        TVector sum = TOperations.MultiplyAdd(f, TOperations.Broadcast(1.9875691500e-4f), TOperations.Broadcast(1.3981999507e-3f));
        sum = TOperations.MultiplyAdd(sum, f, TOperations.Broadcast(8.3334519073e-3f));
        sum = TOperations.MultiplyAdd(sum, f, TOperations.Broadcast(4.1665795894e-2f));
        sum = TOperations.MultiplyAdd(sum, f, TOperations.Broadcast(1.6666665459e-1f));
        sum = TOperations.MultiplyAdd(sum, f, TOperations.Broadcast(0.5f));
        sum = TOperations.MultiplyAdd(sum, TOperations.Multiply(f, f), f);
        sum = TOperations.Add(sum, TOperations.Broadcast(1f));
        TVector result = TOperations.Multiply(sum, TOperations.PowerOfTwo(n));
        return TOperations.SelectLess(x, TOperations.Broadcast(Underflow), TOperations.Zero, result);
    }

    /// <summary>The sum of products. Four sums at once hide the latency of a multiply-add: a vector costs 2 loads and 1 multiply-add.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Dot(float* left, float* right, int length)
    {
        int width = TOperations.Width;
        TVector sum0 = TOperations.Zero;
        TVector sum1 = TOperations.Zero;
        TVector sum2 = TOperations.Zero;
        TVector sum3 = TOperations.Zero;
        int i = 0;
        for (; i + 4 * width <= length; i += 4 * width)
        {
            sum0 = TOperations.MultiplyAdd(TOperations.Load(left + i), TOperations.Load(right + i), sum0);
            sum1 = TOperations.MultiplyAdd(TOperations.Load(left + i + width), TOperations.Load(right + i + width), sum1);
            sum2 = TOperations.MultiplyAdd(TOperations.Load(left + i + 2 * width), TOperations.Load(right + i + 2 * width), sum2);
            sum3 = TOperations.MultiplyAdd(TOperations.Load(left + i + 3 * width), TOperations.Load(right + i + 3 * width), sum3);
        }

        for (; i + width <= length; i += width)
            sum0 = TOperations.MultiplyAdd(TOperations.Load(left + i), TOperations.Load(right + i), sum0);
        float sum = TOperations.Sum(TOperations.Add(TOperations.Add(sum0, sum1), TOperations.Add(sum2, sum3)));
        for (; i < length; i++)
            sum += left[i] * right[i];
        return sum;
    }
}
