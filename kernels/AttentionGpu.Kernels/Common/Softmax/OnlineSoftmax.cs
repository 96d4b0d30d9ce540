using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Fragments;
using ILGPU.Algorithms;

namespace AttentionGpu.Kernels.Common.Softmax;

/// <summary>
/// The state of a softmax that has seen part of its row: the running maximum and the sum of <c>exp(score - maximum)</c>.
/// Milakov and Gimelshein, "Online normalizer calculation for softmax" (2018). States of two parts of a row merge into the state of
/// both. A state that has seen nothing but -inf has maximum -inf and sum 0, and never makes a NaN.
/// </summary>
public struct OnlineSoftmax
{
    /// <summary>The largest score seen; -inf before the first.</summary>
    public float Maximum;

    /// <summary>The sum of the weights of all scores seen, relative to <see cref="Maximum"/>.</summary>
    public float Sum;

    /// <summary>The state that has seen no score.</summary>
    public static OnlineSoftmax Empty
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { Maximum = float.NegativeInfinity, Sum = 0f };
    }

    /// <summary>What a weight is multiplied by at the end: 1 / sum, or 0 for a row with no visible key.</summary>
    public readonly float Normalizer
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Reciprocal(Sum);
    }

    /// <summary>The logarithm of the sum of exponentials of all scores seen; -inf for a row with no visible key.</summary>
    public readonly float LogSumExp
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Sum == 0f ? float.NegativeInfinity : Maximum + XMath.Log(Sum);
    }

    /// <summary>
    /// What a score is reduced by before its exponential is taken: the maximum. -inf minus -inf is NaN, so a row with nothing visible is
    /// shifted by 0 instead, and all its weights are exp(-inf) = 0.
    /// </summary>
    public readonly float Shift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Maximum == float.NegativeInfinity ? 0f : Maximum;
    }

    /// <summary>1 / <paramref name="sum"/>, or 0 where the sum is 0: a row with no visible key gives zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Reciprocal(float sum) => sum == 0f ? 0f : 1f / sum;

    /// <summary>Raises the maximum to at least <paramref name="score"/>.</summary>
    /// <returns>The factor by which everything that was accumulated with the old maximum shrinks.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Raise(float score)
    {
        float old = Maximum;
        Maximum = XMath.Max(old, score);
        float factor = XMath.Exp(old - Shift);
        Sum *= factor;
        return factor;
    }

    /// <summary>The weight of <paramref name="score"/> relative to the maximum: in [0, 1] once the maximum has been raised to it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Weight(float score) => XMath.Exp(score - Shift);

    /// <summary>The weights of four scores.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Float4 Weights(Float4 scores) => new(Weight(scores.X), Weight(scores.Y), Weight(scores.Z), Weight(scores.W));

    /// <summary>Takes one score in: raises the maximum and adds the score's weight.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(float score)
    {
        Raise(score);
        Sum += Weight(score);
    }

    /// <summary>Takes in a last score that has no value: an attention sink. -inf for none.</summary>
    /// <returns>What the values that were accumulated are multiplied by; 0 for a row with no visible key.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Finish(float sink)
    {
        float factor = Raise(sink);
        Sum += Weight(sink);
        return factor * Normalizer;
    }

    /// <summary>The state that has seen what either has seen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static OnlineSoftmax Merge(OnlineSoftmax left, OnlineSoftmax right)
    {
        left.Raise(right.Maximum);
        right.Raise(left.Maximum);
        left.Sum += right.Sum;
        return left;
    }
}
