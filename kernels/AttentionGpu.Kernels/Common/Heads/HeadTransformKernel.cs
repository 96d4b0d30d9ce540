using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;
using ILGPU.Algorithms;

namespace AttentionGpu.Kernels.Common.Heads;

/// <summary>
/// Brings queries, or keys and values, to where attention reads them: into the cache behind the past, by RMS normalisation (Zhang and
/// Sennrich, 2019) and rotary position embedding (Su and others, "RoFormer", 2021) where they are asked for.
/// </summary>
public static class HeadTransformKernel
{
    /// <summary>Most threads in a group; the group's size is a power of two up to it.</summary>
    public const int MaxThreads = 128;

    // Below it, squares of float32 have lost digits.
    private const float SmallestMean = 1e-30f;

    // 2^100, which leaves numbers of the smallest means 2^50 at most, and 2^-80, which leaves the largest number 2^48.
    private const float Grow = 1.2676506e30f;
    private const float Shrink = 8.2718061e-25f;

    /// <summary>
    /// One group a row. An element takes one load and one store, and a load of its partner and of sine and cosine where it is rotated:
    /// bound by memory. Normalisation adds a pass over the row and log2(threads) barriers; quantisation another pass, for the largest
    /// elements.
    /// </summary>
    /// <param name="shape">Sizes and layouts.</param>
    /// <param name="source">The rows.</param>
    /// <param name="target">Where they go; not the source.</param>
    /// <param name="norm">A factor for each element of a normalised row.</param>
    /// <param name="cosine">[positions, rotary size / 2], or as many tables as batch entries.</param>
    /// <param name="sine">The shape of <paramref name="cosine"/>.</param>
    /// <param name="positions">The position of each row: [batch, length], or [tokens] where there are sequences.</param>
    /// <param name="sequences">A sequence a batch entry.</param>
    public static void Transform<TSource, TTarget>(
        HeadTransformArguments shape, ArrayView<TSource> source, TTarget target,
        ArrayView<float> norm, ArrayView<float> cosine, ArrayView<float> sine, ArrayView<int> positions, ArrayView<Sequence> sequences)
        where TSource : unmanaged, IElement<TSource>
        where TTarget : struct, IStoredRows
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(MaxThreads);
        int row = Grid.IdxX % shape.Length;
        int matrix = Grid.IdxX / shape.Length;
        int position = shape.FirstPosition + row;
        long positionIndex = (long)(matrix / shape.Heads) * shape.Length + row;
        int targetRow = row;
        if (shape.HasSequences != 0)
        {
            Sequence sequence = sequences[matrix / shape.Heads];

            // Sequences that are shorter than the longest leave groups without a row.
            bool areKeys = shape.RowsAreKeys != 0;
            if (row >= (areKeys && shape.FollowsPast == 0 ? sequence.KeyLength : sequence.QueryLength))
                return;
            int past = sequence.KeyLength - sequence.QueryLength;
            if (shape.FollowsPast != 0)
                position += sequence.DroppedKeys + past;
            targetRow += !areKeys ? sequence.QueryStart : shape.FollowsPast != 0 ? sequence.KeyStart + past : sequence.KeyStart;
            row += areKeys && shape.FollowsPast == 0 ? sequence.KeyStart : sequence.QueryStart;
            positionIndex = row;
        }

        if (shape.HasPositions != 0)
            position = positions[positionIndex];
        long tableRow = (long)(matrix / shape.Heads) * shape.TableStride + position;
        var line = new HeadRow<TSource>
        {
            Shape = shape,
            Source = source,
            First = shape.Source.Base(matrix) + shape.Source.Row(row),
            Norm = norm,
            Range = 1f,
            Factor = 1f,
            Cosine = cosine,
            Sine = sine,
            FirstAngle = tableRow * (shape.RotarySize >> 1),
        };
        if (shape.HasNorm != 0)
        {
            float mean = MeanOfSquares(shape, shared, source, line.First, line.Range);
            if (!(mean >= SmallestMean && mean <= float.MaxValue))
            {
                // Squares overflow, or lose their digits, where the row itself does not. All threads have the same mean.
                line.Range = mean < SmallestMean ? Grow : Shrink;
                Group.Barrier();
                mean = MeanOfSquares(shape, shared, source, line.First, line.Range);
            }

            line.Factor = XMath.Rsqrt(mean);
        }

        long address = target.Row(target.Origin(matrix, targetRow), 0);
        if (TTarget.HasScales)
        {
            Quantise(shape, line, target, address, shared);
        }
        else
        {
            for (int i = Group.IdxX; i < shape.Size; i += Group.DimX)
                target.Store(address, i, line.Value(i), 0f, 1f);
        }
    }

    // As many threads as a group of elements has, or all, share a group of elements. Threads without one take part in the barriers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quantise<TSource, TTarget>(
        HeadTransformArguments shape, HeadRow<TSource> line, TTarget target, long address, ArrayView<float> largest)
        where TSource : unmanaged, IElement<TSource>
        where TTarget : struct, IStoredRows
    {
        int lanes = IntrinsicMath.Min(Group.DimX, 1 << TTarget.GroupShift);
        int lane = Group.IdxX & (lanes - 1);
        int groups = ((shape.Size - 1) >> TTarget.GroupShift) + 1;
        int groupsAtOnce = Group.DimX / lanes;
        int ownGroup = Group.IdxX / lanes;
        for (int firstGroup = 0; firstGroup < groups; firstGroup += groupsAtOnce)
        {
            int group = firstGroup + ownGroup;
            int start = group << TTarget.GroupShift;
            int end = IntrinsicMath.Min(shape.Size, start + (1 << TTarget.GroupShift));
            float size = 0f;
            for (int i = start + lane; i < end; i += lanes)
                size = XMath.Max(size, FiniteSize(line.Value(i)));
            Group.Barrier();
            largest[Group.IdxX] = size;
            Group.Barrier();
            for (int distance = lanes >> 1; distance > 0; distance >>= 1)
            {
                if (lane < distance)
                    largest[Group.IdxX] = XMath.Max(largest[Group.IdxX], largest[Group.IdxX + distance]);
                Group.Barrier();
            }

            float scale = TTarget.Scale(largest[Group.IdxX - lane]);
            if (lane == 0 && start < shape.Size)
                target.StoreScale(address, group, scale);
            for (int i = start + lane * TTarget.StoreWidth; i < end; i += lanes * TTarget.StoreWidth)
                target.Store(address, i, line.Value(i), TTarget.StoreWidth > 1 && i + 1 < end ? line.Value(i + 1) : 0f, scale);
        }
    }

    // Infinity for what is not finite: a maximum with NaN differs among devices.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float FiniteSize(float value) => ValuePass.IsFinite(value) ? XMath.Abs(value) : float.PositiveInfinity;

    // Of the row times the scale, in units of the scale's square; the epsilon is in it.
    private static float MeanOfSquares<TElement>(
        HeadTransformArguments shape, ArrayView<float> squares, ArrayView<TElement> source, long sourceBase, float scale)
        where TElement : unmanaged, IElement<TElement>
    {
        float sum = 0f;
        for (int i = Group.IdxX; i < shape.Size; i += Group.DimX)
        {
            float value = source[sourceBase + i].ToSingle() * scale;
            sum += value * value;
        }

        squares[Group.IdxX] = sum;
        Group.Barrier();
        for (int distance = Group.DimX / 2; distance > 0; distance /= 2)
        {
            if (Group.IdxX < distance)
                squares[Group.IdxX] += squares[Group.IdxX + distance];
            Group.Barrier();
        }

        return squares[0] / shape.Size + shape.Epsilon * scale * scale;
    }
}
