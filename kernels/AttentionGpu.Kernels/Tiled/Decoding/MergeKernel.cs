using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Decoding;

/// <summary>Joins the parts of <see cref="DecodeKernel"/> in the order of their keys.</summary>
public static class MergeKernel
{
    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount(DecodeArguments shape, int batch) =>
        (long)batch * shape.Attention.Heads * shape.Attention.QueryLength;

    /// <summary>
    /// One group a row. An element takes a load of each part's output, and of its logarithm, which all threads share: bound by memory, of
    /// which it reads 1 / <see cref="DecodeArguments.PartKeys"/> of what the parts have read.
    /// </summary>
    public static void Merge<TElement, TRange>(
        DecodeArguments shape, ArrayView<TElement> output, AttentionTables tables, TRange range)
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange
    {
        var place = new GroupPlace(shape.Attention.QueryLength, 1, shape.Attention.Heads);
        int query = place.Column;
        int matrix = place.Matrix;
        Sequence sequence = shape.Sequence(tables.Sequences, place.Batch);
        if (query >= sequence.QueryLength)
            return;

        // Only parts that the row's range touches have been written.
        int firstKey = range.FirstKey(sequence, query);
        int endKey = range.EndKey(sequence, query);
        long first = shape.Part(matrix, query, firstKey / DecodeArguments.PartKeys);
        long end = endKey > firstKey ? shape.Part(matrix, query, (endKey - 1) / DecodeArguments.PartKeys) + 1 : first;
        var state = new OnlineSoftmax
        {
            Maximum = shape.Attention.HasSinks != 0 ? tables.Sinks[place.Head] : float.NegativeInfinity,
            Sum = shape.Attention.HasSinks != 0 ? 1f : 0f,
        };
        for (long part = first; part < end; part++)
            state.Add(shape.LogSumExp[part]);
        float normalizer = state.Normalizer;
        int row = sequence.QueryStart + query;
        long outputRow = shape.Attention.Output.Address(place.Batch, place.Head, row);
        for (int column = Group.IdxX; column < shape.Attention.ValueHeadSize; column += Group.DimX)
        {
            float mean = 0f;
            bool isFinite = true;
            for (long part = first; part < end; part++)
            {
                float one = shape.Outputs[part * shape.Attention.ValueHeadSize + column];

                // A visible value that is not finite makes the output so, however small its weight is.
                bool partIsFinite = ValuePass.IsFinite(one);
                mean += partIsFinite ? state.Weight(shape.LogSumExp[part]) * normalizer * one : one;
                isFinite &= partIsFinite;
            }

            output[outputRow + column] = TElement.FromSingle(isFinite ? Bounded(mean) : mean);
        }

        if (shape.Attention.HasLogSumExp != 0 && Group.IdxX == 0)
        {
            long sumAt = shape.Attention.LogSumExp.Address(place.Batch, place.Head, row);
            tables.LogSumExp[sumAt] = state.LogSumExp;
        }
    }

    /// <summary>No mean of finite values is larger than the largest finite value; rounding can make it so.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Bounded(float mean) => mean > float.MaxValue ? float.MaxValue : mean < float.MinValue ? float.MinValue : mean;
}
