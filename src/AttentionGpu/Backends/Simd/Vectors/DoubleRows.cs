using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace AttentionGpu.Backends.Simd.Vectors;

/// <summary>Rows of floats in float64 arithmetic: for sums whose range or precision float32 does not have.</summary>
internal static unsafe class DoubleRows
{
    /// <summary>The sum of the products of elements.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Dot(double* left, float* right, int count)
    {
        Vector256<double> low = Vector256<double>.Zero;
        Vector256<double> high = Vector256<double>.Zero;
        int i = 0;
        for (; i + Vector256<float>.Count <= count; i += Vector256<float>.Count)
        {
            (Vector256<double> first, Vector256<double> second) = Vector256.Widen(Vector256.Load(right + i));
            low += Vector256.Load(left + i) * first;
            high += Vector256.Load(left + i + Vector256<double>.Count) * second;
        }

        double sum = Vector256.Sum(low + high);
        for (; i < count; i++)
            sum += left[i] * right[i];
        return sum;
    }

    /// <inheritdoc cref="Dot(double*, float*, int)"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Dot(float* left, float* right, int count)
    {
        Vector256<double> low = Vector256<double>.Zero;
        Vector256<double> high = Vector256<double>.Zero;
        int i = 0;
        for (; i + Vector256<float>.Count <= count; i += Vector256<float>.Count)
        {
            (Vector256<double> firstLeft, Vector256<double> secondLeft) = Vector256.Widen(Vector256.Load(left + i));
            (Vector256<double> firstRight, Vector256<double> secondRight) = Vector256.Widen(Vector256.Load(right + i));
            low += firstLeft * firstRight;
            high += secondLeft * secondRight;
        }

        double sum = Vector256.Sum(low + high);
        for (; i < count; i++)
            sum += (double)left[i] * right[i];
        return sum;
    }

    /// <summary><c>row = factor * row * others</c>, rounded once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(float* row, double factor, float* others, int count)
    {
        Vector256<double> factors = Vector256.Create(factor);
        int i = 0;
        for (; i + Vector256<float>.Count <= count; i += Vector256<float>.Count)
        {
            (Vector256<double> first, Vector256<double> second) = Vector256.Widen(Vector256.Load(row + i));
            (Vector256<double> firstOther, Vector256<double> secondOther) = Vector256.Widen(Vector256.Load(others + i));
            Vector256.Narrow(first * factors * firstOther, second * factors * secondOther).Store(row + i);
        }

        for (; i < count; i++)
            row[i] = (float)(row[i] * factor * others[i]);
    }

    /// <summary><c>sums += weight * row</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddProduct(double* sums, float* row, double weight, int count)
    {
        Vector256<double> weights = Vector256.Create(weight);
        int i = 0;
        for (; i + Vector256<float>.Count <= count; i += Vector256<float>.Count)
        {
            (Vector256<double> first, Vector256<double> second) = Vector256.Widen(Vector256.Load(row + i));
            (Vector256.Load(sums + i) + weights * first).Store(sums + i);
            double* next = sums + i + Vector256<double>.Count;
            (Vector256.Load(next) + weights * second).Store(next);
        }

        for (; i < count; i++)
            sums[i] += weight * row[i];
    }

    /// <summary><c>sums = factors * sums + row</c>, with a factor for each element.</summary>
    /// <param name="sums">The sums.</param>
    /// <param name="factors">The factors.</param>
    /// <param name="row">What is added.</param>
    /// <param name="count">Elements; a multiple of eight.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void RescaleAndAdd(double* sums, double* factors, float* row, int count)
    {
        for (int i = 0; i < count; i += Vector256<float>.Count)
        {
            (Vector256<double> first, Vector256<double> second) = Vector256.Widen(Vector256.Load(row + i));
            (Vector256.Load(sums + i) * Vector256.Load(factors + i) + first).Store(sums + i);
            int next = i + Vector256<double>.Count;
            (Vector256.Load(sums + next) * Vector256.Load(factors + next) + second).Store(sums + next);
        }
    }

    /// <summary><c>sums = factor * sums + row</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RescaleAndAdd(double* sums, double factor, float* row, int count)
    {
        Vector256<double> factors = Vector256.Create(factor);
        int i = 0;
        for (; i + Vector256<float>.Count <= count; i += Vector256<float>.Count)
        {
            (Vector256<double> first, Vector256<double> second) = Vector256.Widen(Vector256.Load(row + i));
            (Vector256.Load(sums + i) * factors + first).Store(sums + i);
            double* next = sums + i + Vector256<double>.Count;
            (Vector256.Load(next) * factors + second).Store(next);
        }

        for (; i < count; i++)
            sums[i] = sums[i] * factor + row[i];
    }

    /// <summary><c>row = factor * sums</c>, rounded once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Round(double* sums, double factor, float* row, int count)
    {
        Vector256<double> factors = Vector256.Create(factor);
        int i = 0;
        for (; i + Vector256<float>.Count <= count; i += Vector256<float>.Count)
        {
            Vector256<double> second = Vector256.Load(sums + i + Vector256<double>.Count);
            Vector256.Narrow(Vector256.Load(sums + i) * factors, second * factors).Store(row + i);
        }

        for (; i < count; i++)
            row[i] = (float)(sums[i] * factor);
    }
}
