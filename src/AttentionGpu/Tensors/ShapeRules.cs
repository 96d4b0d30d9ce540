namespace AttentionGpu.Tensors;

/// <summary>Checks of tensor shapes: each failure is one exception that names the argument, what it was and what it must be.</summary>
internal static class ShapeRules
{
    // Times the size of an element it fits in 63 bits.
    private const long MostElements = 1L << 56;

    /// <summary>A shape as text: <c>[2, 3]</c>.</summary>
    public static string Format(ReadOnlySpan<nint> lengths)
    {
        var text = new List<string>();
        foreach (nint length in lengths)
            text.Add(length.ToString(System.Globalization.CultureInfo.InvariantCulture));
        return $"[{string.Join(", ", text)}]";
    }

    /// <summary>Requires a rank, and every length to fit in 32 bits. A default (unset) tensor has rank 0.</summary>
    public static void RequireRank(ReadOnlySpan<nint> lengths, int rank, string axes, string name)
    {
        if (lengths.Length != rank)
            throw Error(lengths, $"must be {axes}", name);
        RequireCounts(lengths, name);
    }

    /// <summary>Requires every length to fit in 32 bits, and the bytes of all elements to fit in 63.</summary>
    public static void RequireCounts(ReadOnlySpan<nint> lengths, string name)
    {
        double count = 1.0;
        foreach (nint length in lengths)
        {
            if (length is < 0 or > int.MaxValue)
                throw Error(lengths, $"must have no axis longer than {int.MaxValue}", name);

            // An axis of 0 makes the tensor empty, but slices and strides of the others are counted too.
            count *= Math.Max(length, 1);
        }

        if (count > MostElements)
            throw Error(lengths, $"must have at most {MostElements} elements", name);
    }

    /// <summary>Requires exact lengths.</summary>
    /// <param name="lengths">The tensor's.</param>
    /// <param name="expected">What they must be.</param>
    /// <param name="axes">The axes as text.</param>
    /// <param name="name">The tensor's public name.</param>
    /// <param name="leftOut">How many of the first axes the tensor leaves out.</param>
    public static void Require(ReadOnlySpan<nint> lengths, ReadOnlySpan<nint> expected, string axes, string name, int leftOut = 0)
    {
        if (!lengths.SequenceEqual(expected[leftOut..]))
            throw Error(lengths, $"must be {Axes(axes, leftOut)} = {Format(expected[leftOut..])}", name);
    }

    /// <summary>The names of axes, <c>[a, b, c]</c>, without the first ones.</summary>
    public static string Axes(string axes, int leftOut)
    {
        for (; leftOut > 0; leftOut--)
            axes = "[" + axes[(axes.IndexOf(", ", StringComparison.Ordinal) + 2)..];
        return axes;
    }

    /// <summary>Requires one length of a tensor.</summary>
    public static void RequireAxis(ReadOnlySpan<nint> lengths, int axis, nint expected, string meaning, string name)
    {
        if (lengths[axis] != expected)
            throw Error(lengths, $"must have {expected} as axis {axis} ({meaning})", name);
    }

    /// <summary>Elements of a tensor.</summary>
    public static long Count(ReadOnlySpan<nint> lengths)
    {
        long count = 1;
        foreach (nint length in lengths)
            count = checked(count * length);
        return count;
    }

    /// <summary>The exception for a wrong shape.</summary>
    public static ArgumentException Error(ReadOnlySpan<nint> lengths, string rule, string name) =>
        new($"The tensor '{name}' {rule}; it is {Format(lengths)}.", name);

    /// <summary>Whether strides are those of a contiguous tensor, as far as they matter.</summary>
    public static bool IsContiguous(ReadOnlySpan<nint> lengths, ReadOnlySpan<nint> strides)
    {
        nint expected = 1;
        for (int axis = lengths.Length - 1; axis >= 0; axis--)
        {
            if (lengths[axis] != 1 && strides[axis] != expected)
                return false;
            expected *= lengths[axis];
        }

        return true;
    }

    /// <summary>Elements from the first to the last of a strided tensor, those of gaps included.</summary>
    public static nint Span(ReadOnlySpan<nint> lengths, ReadOnlySpan<nint> strides)
    {
        nint last = 0;
        for (int axis = 0; axis < lengths.Length; axis++)
        {
            if (lengths[axis] == 0)
                return 0;
            last += (lengths[axis] - 1) * strides[axis];
        }

        return last + 1;
    }

    /// <summary>Fills strides from given ones, or from lengths where none are given: those of a contiguous tensor.</summary>
    public static void StridesOf(ReadOnlySpan<nint> lengths, ReadOnlySpan<nint> given, Span<nint> strides)
    {
        if (given.IsEmpty)
            ContiguousStrides(lengths, strides);
        else
            given.CopyTo(strides);
    }

    /// <summary>The strides of a contiguous tensor.</summary>
    public static void ContiguousStrides(ReadOnlySpan<nint> lengths, Span<nint> strides)
    {
        nint stride = 1;
        for (int axis = lengths.Length - 1; axis >= 0; axis--)
        {
            strides[axis] = stride;
            stride *= lengths[axis];
        }
    }

    /// <summary>The exception for an output that shares memory with an input.</summary>
    public static ArgumentException OverlapError(string outputName, string inputName) =>
        new($"The tensor '{outputName}' must not overlap '{inputName}': outputs are written while inputs are still read.", outputName);
}
