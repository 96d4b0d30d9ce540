using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Softmax;

/// <summary>The mean of attention weights over heads.</summary>
public static class AverageHeadsKernel
{
    /// <summary>
    /// <c>average[batch, query, key] = mean over heads of weights[batch, head, query, key]</c>; the threads of a row four of its keys each
    /// at once. One load of 16 bytes and four additions for four weights: bound by memory.
    /// </summary>
    /// <param name="shape">Sizes; the rows are those of the average.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="average">Their mean.</param>
    public static void Average<TElement>(SoftmaxArguments shape, ArrayView<SingleElement> weights, ArrayView<TElement> average)
        where TElement : unmanaged, IElement<TElement>
    {
        var thread = new ThreadRow(shape.LaneShift);
        int row = thread.Row;
        int count = 0;
        long source = 0;
        if (row < shape.Rows)
        {
            int batch = row / shape.QueryLength;
            int firstRow = batch * shape.Heads * shape.QueryLength + (row - batch * shape.QueryLength);
            count = shape.KeyLength - 4 * thread.Lane;
            source = (long)firstRow * shape.KeyLength + 4 * thread.Lane;
        }

        bool isAligned = shape.IsAligned != 0;
        int step = 4 << shape.LaneShift;
        long matrix = (long)shape.QueryLength * shape.KeyLength;
        long target = (long)row * shape.KeyLength + 4 * thread.Lane;
        for (; count > 0; count -= step)
        {
            long at = source;
            Float4 sum = default;
            for (int head = 0; head < shape.Heads; head++)
            {
                sum = Float4.Add(sum, Quad<SingleElement>.Load(weights, at, count, isAligned));
                at += matrix;
            }

            var mean = new Float4(sum.X / shape.Heads, sum.Y / shape.Heads, sum.Z / shape.Heads, sum.W / shape.Heads);
            Quad<TElement>.Store(average, target, count, isAligned, mean);
            source += step;
            target += step;
        }
    }
}
