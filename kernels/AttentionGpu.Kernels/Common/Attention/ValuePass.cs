using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Attention;

/// <summary>
/// How often a group goes over its keys, and how it changes the values. A hidden key weighs 0, and 0 times infinity or NaN is NaN: a sum
/// that is not finite, in a row whose weights are finite, is the only sign of a hidden value that is not. Only then the group computes its
/// rows again.
/// </summary>
/// <remarks>
/// The second pass takes a value that is not finite for 0. A sum that is still not finite has overflowed on its way to a mean that does
/// not: the third pass makes all weights smaller. After either, values that are not finite and that a query sees are added to its outputs.
/// Outputs below 2^-94 may lose digits in a third pass.
/// </remarks>
public static class ValuePass
{
    /// <summary>Values as they are.</summary>
    public const int Plain = 0;

    /// <summary>0 in place of values that are not finite.</summary>
    public const int Finite = 1;

    /// <summary>As <see cref="Finite"/>, with weights that are multiplied by <see cref="Shrink"/>.</summary>
    public const int Scaled = 2;

    /// <summary>Passes that may be followed by another.</summary>
    public const int Flags = 2;

    /// <summary>2^-32: as many of the largest numbers as there are keys at most have a finite sum.</summary>
    public const float Shrink = 1f / 65536f / 65536f;

    private const float Grow = 65536f * 65536f;
    private const uint InfinityBits = 0x7F800000;

    /// <summary>Whether a number is neither infinite nor NaN. Asks its bits: comparisons with NaN differ among devices.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsFinite(float value) => (Interop.FloatAsInt(value) & InfinityBits) != InfinityBits;

    /// <summary>Undoes <see cref="Shrink"/> in a mean, and clamps it: no mean is larger than the largest finite value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Restore(float mean)
    {
        mean *= Grow;
        return mean > float.MaxValue ? float.MaxValue : mean < float.MinValue ? float.MinValue : mean;
    }

    /// <summary>
    /// Adds the values of one column that are not finite and that a query sees to its output, which makes it infinite or NaN as their sum
    /// is.
    /// </summary>
    /// <param name="output">The output's memory.</param>
    /// <param name="element">The output's element.</param>
    /// <param name="value">The values.</param>
    /// <param name="origin">The address of the sequence's first value.</param>
    /// <param name="column">The column of the values.</param>
    /// <param name="head">The head.</param>
    /// <param name="query">The query.</param>
    /// <param name="range">The keys that it can see.</param>
    /// <param name="variant">What else hides keys.</param>
    public static void AddVisible<TElement, TValues, TRange, TVariant>(
        ArrayView<TElement> output, long element, TValues value, long origin, int column, SequenceHead head, int query, TRange range,
        TVariant variant)
        where TElement : unmanaged, IElement<TElement>
        where TValues : struct, IMatrixRows
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        float sum = 0f;
        int end = range.EndKey(head.Sequence, query);
        for (int key = range.FirstKey(head.Sequence, query); key < end; key++)
        {
            float one = value.Load(value.Row(origin, key), column);
            if (!IsFinite(one) && variant.IsVisible(head, query, key))
                sum += one;
        }

        if (!IsFinite(sum))
            output[element] = TElement.FromSingle(output[element].ToSingle() + sum);
    }
}
