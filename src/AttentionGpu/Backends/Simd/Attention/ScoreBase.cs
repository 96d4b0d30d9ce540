using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>The number whose powers weights are, with scores as exponents.</summary>
internal interface IScoreBase<TVector>
    where TVector : unmanaged
{
    /// <summary>The natural logarithm of the base: what a score of 1 stands for.</summary>
    static abstract float Logarithm { get; }

    /// <summary>The base to the power of an exponent of 0 or less, -inf or NaN.</summary>
    static abstract TVector Power(TVector exponent);
}

/// <summary>Powers of e: scores as the caller knows them, which masks and biases change.</summary>
internal readonly struct NaturalBase<TVector, TOperations> : IScoreBase<TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    public static float Logarithm => 1f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Power(TVector exponent) => VectorMath<TVector, TOperations>.ExpOfNonPositive(exponent);
}

/// <summary>Powers of 2, which cost two operations less: the queries are multiplied by log2(e) together with the scale.</summary>
internal readonly struct BinaryBase<TVector, TOperations> : IScoreBase<TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    public static float Logarithm => 0.693147181f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Power(TVector exponent) => VectorMath<TVector, TOperations>.Exp2OfNonPositive(exponent);
}
