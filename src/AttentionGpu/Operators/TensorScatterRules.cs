using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>Where the rows of an update go in a batch entry: the first of them behind each other, the rest from row 0 on.</summary>
internal readonly record struct ScatteredRows(int First, int Count, int Rest)
{
    public static ScatteredRows Of(ReadOnlySpan<int> writeIndices, int batch, int length, int capacity)
    {
        int first = writeIndices.IsEmpty || capacity == 0 ? 0 : writeIndices[batch] % capacity;
        int count = Math.Min(length, capacity - first);
        return new ScatteredRows(first, count, length - count);
    }
}

/// <summary>Checks and lowers the arguments of <see cref="AttentionEngine.TensorScatter{T}"/>.</summary>
internal static class TensorScatterRules
{
    private const int MostAxes = 8;

    /// <summary>The axis of rows, counted from the first, with the shapes checked.</summary>
    /// <exception cref="ArgumentException">There is no such axis, or a shape does not fit.</exception>
    public static int RequireShapes(scoped ReadOnlySpan<nint> cache, scoped ReadOnlySpan<nint> update, int axis)
    {
        if (cache.Length is < 2 or > MostAxes)
            throw ShapeRules.Error(cache, $"must have 2 to {MostAxes} axes, [batch, ..., capacity, ...]", "cache");
        ShapeRules.RequireCounts(cache, "cache");
        int rows = axis < 0 ? axis + cache.Length : axis;
        if (rows <= 0 || rows >= cache.Length)
        {
            throw BadInput.OutOfRange(
                "axis", axis,
                $"'axis' must be one of the cache behind the batch, 1 to {cache.Length - 1}, or {1 - cache.Length} to -1 from the end.");
        }

        Span<nint> expected = stackalloc nint[MostAxes];
        expected = expected[..cache.Length];
        cache.CopyTo(expected);
        if (update.Length == cache.Length)
            expected[rows] = update[rows];
        ShapeRules.Require(update, expected, "the shape of 'cache' but for the axis of rows", "update");
        if (update[rows] > cache[rows])
            throw ShapeRules.Error(update, $"must have at most the cache's {cache[rows]} rows as axis {rows}", "update");
        return rows;
    }

    /// <exception cref="ArgumentException">There are not as many indices as batch entries, or one is out of range.</exception>
    public static void RequireIndices(
        scoped ReadOnlySpan<nint> cache, int length, ReadOnlySpan<int> writeIndices, TensorScatterMode mode, int axis)
    {
        if (!Enum.IsDefined(mode))
            throw BadInput.OutOfRange("mode", mode, "'mode' must be one of its named values.");
        if (!writeIndices.IsEmpty && writeIndices.Length != cache[0])
        {
            throw BadInput.Because(
                "writeIndices",
                $"'writeIndices' must have a number for each of the {cache[0]} batch entries; it has {writeIndices.Length}.");
        }

        bool isLinear = mode == TensorScatterMode.Linear;
        int most = isLinear ? (int)cache[axis] - length : int.MaxValue;
        foreach (int index in writeIndices)
        {
            if (index < 0 || index > most)
            {
                throw BadInput.OutOfRange(
                    "writeIndices", index,
                    isLinear
                        ? $"A number in 'writeIndices' must be 0 to {most}, so that {length} rows fit into the cache's {cache[axis]}."
                        : "A number in 'writeIndices' must be at least 0.");
            }
        }
    }

    /// <summary>A tensor as [batch, axes before the rows, rows, axes behind them].</summary>
    /// <param name="lengths">Its lengths.</param>
    /// <param name="given">Its strides; empty where it is contiguous.</param>
    /// <param name="axis">The axis of rows.</param>
    /// <param name="name">What it is called.</param>
    /// <exception cref="ArgumentException">It has gaps where the axes before the rows, or those behind them, join.</exception>
    public static HeadTensor Read(scoped ReadOnlySpan<nint> lengths, scoped ReadOnlySpan<nint> given, int axis, string name)
    {
        Span<nint> strides = stackalloc nint[MostAxes];
        ShapeRules.StridesOf(lengths, given, strides);
        (long heads, nint? headStride) = Join(lengths[1..axis], strides[1..axis]);
        (long size, nint? stride) = Join(lengths[(axis + 1)..], strides[(axis + 1)..lengths.Length]);
        if (headStride is null || stride is null or > 1)
            throw ShapeRules.Error(lengths, $"must have no gaps between its axes but before axes 1, {axis} and {axis + 1}", name);
        if (Math.Max(heads, size) > int.MaxValue)
            throw ShapeRules.Error(lengths, $"must have at most {int.MaxValue} elements before and behind axis {axis}", name);
        return new HeadTensor(
            (int)lengths[0], (int)heads, (int)lengths[axis], (int)size, new TensorLayout(strides[0], headStride.Value, strides[axis]));
    }

    /// <summary>
    /// Fills a sequence for each batch entry, whose last rows are those of the update; then one each for the rows that go on at row 0.
    /// Returns the most rows of the former and of the latter.
    /// </summary>
    public static (int Longest, int LongestRest) Fill(
        Span<Sequence> sequences, ReadOnlySpan<int> writeIndices, int length, int capacity)
    {
        (int longest, int longestRest) = (0, 0);
        int batch = sequences.Length / 2;
        for (int i = 0; i < batch; i++)
        {
            var rows = ScatteredRows.Of(writeIndices, i, length, capacity);
            sequences[i] = new Sequence { QueryLength = rows.Count, KeyLength = rows.First + rows.Count };
            sequences[batch + i] = new Sequence { QueryStart = rows.Count, QueryLength = rows.Rest, KeyLength = rows.Rest };
            longest = Math.Max(longest, rows.Count);
            longestRest = Math.Max(longestRest, rows.Rest);
        }

        return (longest, longestRest);
    }

    // The elements of several axes, and the stride that they have as one axis: 0 where it does not matter, null where they have none.
    private static (long Count, nint? Stride) Join(ReadOnlySpan<nint> lengths, ReadOnlySpan<nint> strides)
    {
        long count = 1;
        nint stride = 0;
        for (int axis = lengths.Length - 1; axis >= 0; axis--)
        {
            if (lengths[axis] > 1 && count > 1 && strides[axis] != count * stride)
                return (0, null);
            if (lengths[axis] > 1 && count == 1)
                stride = strides[axis];
            count *= lengths[axis];
        }

        return (count, stride);
    }
}
