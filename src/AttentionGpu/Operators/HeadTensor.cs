using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>Queries, keys, values or an output as [batch, heads, length, size], whatever the order of their axes.</summary>
internal readonly record struct HeadTensor(int Batch, int Heads, int Length, int Size, TensorLayout Layout)
{
    /// <summary>Reads a tensor's axes.</summary>
    /// <param name="lengths">The tensor's lengths.</param>
    /// <param name="strides">Its strides; empty where it is contiguous.</param>
    /// <param name="order">The order of its axes.</param>
    /// <param name="heads">The heads of a tensor whose last axis is heads x size.</param>
    /// <param name="sizeName">What the size is called.</param>
    /// <param name="name">What the tensor is called.</param>
    /// <exception cref="ArgumentException">The tensor has another rank, or its last axis does not divide into heads.</exception>
    public static HeadTensor Read(
        scoped ReadOnlySpan<nint> lengths, scoped ReadOnlySpan<nint> strides, AttentionLayout order, int? heads, string sizeName, string name)
    {
        Span<nint> splitLengths = stackalloc nint[4];
        Span<nint> splitStrides = stackalloc nint[4];
        if (order != AttentionLayout.BatchHeadsLength && lengths.Length == 3 && heads is int count)
        {
            if (lengths[2] % count != 0)
                throw ShapeRules.Error(lengths, $"must have a last axis that divides into {count} heads", name);
            lengths[..2].CopyTo(splitLengths);
            splitLengths[2] = count;
            splitLengths[3] = lengths[2] / count;
            if (!strides.IsEmpty)
            {
                strides[..2].CopyTo(splitStrides);
                splitStrides[2] = splitLengths[3] * strides[2];
                splitStrides[3] = strides[2];
                strides = splitStrides;
            }

            lengths = splitLengths;
        }
        else if (order == AttentionLayout.BatchHeadsLength && lengths.Length is 2 or 3)
        {
            // Axes that are left out are the first ones, and 1 long.
            int leftOut = 4 - lengths.Length;
            splitLengths[..leftOut].Fill(1);
            lengths.CopyTo(splitLengths[leftOut..]);
            lengths = splitLengths;
            if (!strides.IsEmpty)
            {
                splitStrides[..leftOut].Clear();
                strides.CopyTo(splitStrides[leftOut..]);
                strides = splitStrides;
            }
        }

        if (lengths.Length != 4)
            throw ShapeRules.Error(lengths, $"must be {Axes(order, sizeName)}", name);
        ShapeRules.RequireCounts(lengths, name);
        (int batch, int head, int row) = order switch
        {
            AttentionLayout.BatchHeadsLength => (0, 1, 2),
            AttentionLayout.BatchLengthHeads => (0, 2, 1),
            _ => (1, 2, 0),
        };
        if (strides.IsEmpty)
        {
            ShapeRules.ContiguousStrides(lengths, splitStrides);
            strides = splitStrides;
        }

        return new HeadTensor(
            (int)lengths[batch], (int)lengths[head], (int)lengths[row], (int)lengths[3],
            new TensorLayout(strides[batch], strides[head], strides[row]));
    }

    /// <summary>Reads ragged sequences: [tokens, heads, size] is one batch entry.</summary>
    public static HeadTensor ReadRagged(ReadOnlySpan<nint> lengths, scoped ReadOnlySpan<nint> strides, string sizeName, string name)
    {
        if (lengths.Length != 3)
            throw ShapeRules.Error(lengths, $"must be [tokens, heads, {sizeName}] where sequences are ragged", name);
        ShapeRules.RequireCounts(lengths, name);
        Span<nint> own = stackalloc nint[3];
        if (strides.IsEmpty)
        {
            ShapeRules.ContiguousStrides(lengths, own);
            strides = own;
        }

        return new HeadTensor(1, (int)lengths[1], (int)lengths[0], (int)lengths[2], new TensorLayout(0, strides[1], strides[0]));
    }

    private static string Axes(AttentionLayout order, string sizeName) => order switch
    {
        AttentionLayout.BatchHeadsLength => $"[batch, heads, length, {sizeName}], or that without the batch, or without batch and heads",
        AttentionLayout.BatchLengthHeads =>
            $"[batch, length, heads, {sizeName}], or [batch, length, heads x {sizeName}] with the option 'Heads'",
        _ => $"[length, batch, heads, {sizeName}], or [length, batch, heads x {sizeName}] with the option 'Heads'",
    };
}
