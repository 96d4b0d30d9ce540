using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Heads;

/// <summary>Attention over parts of the keys that is joined.</summary>
public struct MergeStatesArguments
{
    /// <summary>Parts of the keys.</summary>
    public int Parts;

    /// <summary>Rows of a head.</summary>
    public int Length;

    /// <summary>Rows of a part.</summary>
    public long Rows;

    /// <summary>Elements of an output row.</summary>
    public int ValueHeadSize;

    /// <summary>Not 0 where the logarithms of the joined sums are asked for.</summary>
    public int HasLogSumExp;

    /// <summary>Where the rows of a part lie, and those of the output.</summary>
    public RowLayout Output;

    /// <summary>Where the logarithms of sums lie, a row an element.</summary>
    public RowLayout LogSumExp;
}

/// <summary>Joins attention over parts of the keys by the logarithms of the parts' sums.</summary>
public static class MergeStatesKernel
{
    /// <summary>Most threads in a group.</summary>
    public const int MaxThreads = 128;

    /// <summary>
    /// One group a row. An element takes a load of each part's output, and of its logarithm, which all threads share: bound by memory.
    /// </summary>
    public static void Merge<TElement>(
        MergeStatesArguments shape, ArrayView<TElement> outputs, ArrayView<float> logSumExps, ArrayView<TElement> output,
        ArrayView<float> logSumExp)
        where TElement : unmanaged, IElement<TElement>
    {
        var place = new GroupPlace(shape.Length, 1, shape.Output.Batch.Heads);
        int query = place.Column;
        long sumAt = shape.LogSumExp.Address(place.Batch, place.Head, query);
        var state = new OnlineSoftmax { Maximum = float.NegativeInfinity, Sum = 0f };
        for (int part = 0; part < shape.Parts; part++)
            state.Add(logSumExps[sumAt + part * shape.Rows]);
        float normalizer = state.Normalizer;
        long first = shape.Output.Address(place.Batch, place.Head, query);
        for (int column = Group.IdxX; column < shape.ValueHeadSize; column += Group.DimX)
        {
            float mean = 0f;
            for (int part = 0; part < shape.Parts; part++)
            {
                // A part in which the row sees no key takes no part, whatever stands there.
                float weight = state.Weight(logSumExps[sumAt + part * shape.Rows]) * normalizer;
                if (weight != 0f)
                    mean += weight * outputs[part * shape.Rows * shape.ValueHeadSize + first + column].ToSingle();
            }

            output[first + column] = TElement.FromSingle(mean);
        }

        if (shape.HasLogSumExp != 0 && Group.IdxX == 0)
            logSumExp[sumAt] = state.LogSumExp;
    }
}
