using AttentionGpu.Kernels.Common.Elements;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Softmax;

/// <summary>The mean of attention weights over heads.</summary>
public static class AverageHeadsKernel
{
    /// <summary>
    /// <c>average[batch, query, key] = mean over heads of weights[batch, head, query, key]</c>; one thread an element of the average.
    /// One addition and one coalesced load a weight: bound by memory.
    /// </summary>
    public static void Average<TElement>(SoftmaxArguments shape, ArrayView<float> weights, ArrayView<TElement> average)
        where TElement : unmanaged, IElement<TElement>
    {
        long matrix = (long)shape.QueryLength * shape.KeyLength;
        long element = (long)Grid.IdxX * Group.DimX + Group.IdxX;
        if (element >= average.Length)
            return;
        long first = element / matrix * shape.Heads * matrix + element % matrix;
        float sum = 0f;
        for (int head = 0; head < shape.Heads; head++)
            sum += weights[first + head * matrix];
        average[element] = TElement.FromSingle(sum / shape.Heads);
    }
}
