using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>Validates masks and finds how they broadcast.</summary>
internal static class MaskRules
{
    /// <summary>
    /// The strides of a mask that broadcasts to [batch, heads, query length, key length] by NumPy's rules, except that it may have fewer
    /// keys.
    /// </summary>
    /// <exception cref="ArgumentException">It does not broadcast.</exception>
    public static MaskStrides LayOut<T>(TensorInput<T> mask, ReadOnlySpan<nint> target)
        where T : unmanaged =>
        mask.IsPresent ? LayOut(mask.Lengths, target) : default;

    /// <summary>
    /// Keys that masks leave visible: those behind a mask's last key are hidden from every query. A mask of one key is for all keys.
    /// </summary>
    public static int VisibleKeys(in AttentionMask mask, int keys) =>
        Math.Min(
            VisibleKeys(mask.Visible.IsPresent, mask.Visible.Lengths, keys), VisibleKeys(mask.Bias.IsPresent, mask.Bias.Lengths, keys));

    private static int VisibleKeys(bool isPresent, ReadOnlySpan<nint> mask, int keys) =>
        !isPresent || mask.IsEmpty || mask[^1] == 1 ? keys : (int)Math.Min(mask[^1], keys);

    /// <summary>The same for a mask of these lengths.</summary>
    public static MaskStrides LayOut(ReadOnlySpan<nint> mask, ReadOnlySpan<nint> target)
    {
        if (mask.Length is < 1 or > 4)
            throw Error(mask, target);

        // Axes are matched from the last one; an axis of 1 is repeated, by a stride of 0.
        Span<long> strides = stackalloc long[4];
        strides.Clear();
        long stride = 1;
        for (int axis = 1; axis <= mask.Length; axis++)
        {
            nint length = mask[^axis];
            bool fits = axis == 1 ? length <= target[^1] : length == target[^axis];
            if (!fits && length != 1)
                throw Error(mask, target);
            strides[^axis] = length == 1 ? 0 : stride;
            stride *= length;
        }

        return new MaskStrides { Batch = strides[0], Head = strides[1], Query = strides[2], Key = strides[3] };
    }

    private static ArgumentException Error(ReadOnlySpan<nint> mask, ReadOnlySpan<nint> target) => ShapeRules.Error(
        mask,
        "must have rank 1 to 4 and broadcast to [batch, heads, query length, key length] = "
            + $"{ShapeRules.Format(target)}, or have fewer keys",
        nameof(mask));
}
