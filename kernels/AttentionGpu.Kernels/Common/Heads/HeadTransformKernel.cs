using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Tiles;
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

    /// <summary>
    /// Elements of a row for each of its threads where rows are many or normalised, fewer in the last: the more they are, the less do the
    /// row's place and the sums of its threads cost an element. Few rows have a thread for four elements: they wait for memory once.
    /// </summary>
    public const int ThreadElements = 32;

    // Below it, squares of float32 have lost digits.
    private const float SmallestMean = 1e-30f;

    // 2^100, which leaves numbers of the smallest means 2^50 at most, and 2^-80, which leaves the largest number 2^48.
    private const float Grow = 1.2676506e30f;
    private const float Shrink = 8.2718061e-25f;

    /// <summary>
    /// Neighbouring threads share a row and take four of its elements at once; a group has several rows. Four elements take one load and
    /// one store, and where they are rotated loads of their partners, cosines and sines: bound by memory. Normalisation adds a pass over
    /// the row and log2(threads of a row) barriers; quantisation another pass, for the largest elements.
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
        HeadTransformArguments shape, ArrayView<TSource> source, TTarget target, ArrayView<SingleElement> norm,
        ArrayView<SingleElement> cosine, ArrayView<SingleElement> sine, ArrayView<int> positions, ArrayView<Sequence> sequences)
        where TSource : unmanaged, IElement<TSource>
        where TTarget : struct, IStoredRows
    {
        ArrayView<Float4> shared = SharedMemory.Allocate<Float4>(MaxThreads);
        var thread = new ThreadRow(shape.LaneShift);
        int index = thread.Row;
        int lane = thread.Lane;

        // Threads without a row take part in the barriers. What a branch has chosen ILGPU leaves there, and divides by lengths and heads
        // once a row.
        int size = 0;
        long first = 0;
        long firstAngle = 0;
        long address = 0;
        if (index < shape.Rows)
        {
            int matrix = index / shape.Length;
            int batch = matrix / shape.Heads;
            int head = matrix - batch * shape.Heads;
            int row = index - matrix * shape.Length;
            int position = shape.FirstPosition + row;
            long positionIndex = (long)batch * shape.Length + row;
            int targetRow = row;
            size = shape.Size;
            if (shape.HasSequences != 0)
            {
                Sequence sequence = sequences[batch];
                bool areKeys = shape.RowsAreKeys != 0;
                int past = sequence.KeyLength - sequence.QueryLength;

                // Sequences that are shorter than the longest leave threads without a row.
                if (row >= (areKeys && shape.FollowsPast == 0 ? sequence.KeyLength : sequence.QueryLength))
                    size = 0;
                if (shape.FollowsPast != 0)
                    position += sequence.DroppedKeys + past;
                targetRow += !areKeys ? sequence.QueryStart : shape.FollowsPast != 0 ? sequence.KeyStart + past : sequence.KeyStart;
                row += areKeys && shape.FollowsPast == 0 ? sequence.KeyStart : sequence.QueryStart;
                positionIndex = row;
            }

            if (size > 0)
            {
                if (shape.HasPositions != 0)
                    position = positions[positionIndex];
                firstAngle = ((long)batch * shape.TableStride + position) * (shape.RotarySize >> 1);
                first = shape.Source.Address(batch, head, row);
                address = target.Address(batch, head, targetRow);
            }
        }

        var line = new HeadRow<TSource>
        {
            Shape = shape,
            Source = source,
            First = first,
            Norm = norm,
            Range = 1f,
            Factor = 1f,
            Cosine = cosine,
            Sine = sine,
            FirstAngle = firstAngle,
        };
        if (shape.HasNorm != 0)
        {
            Float4 means = MeansOfSquares(line, shared, lane, size);
            float mean = means.X + shape.Epsilon;
            if (!(mean >= SmallestMean && mean <= float.MaxValue))
            {
                // Squares overflow, or lose their digits, where the row itself does not.
                line.Range = mean < SmallestMean ? Grow : Shrink;
                mean = (mean < SmallestMean ? means.Y : means.Z) + shape.Epsilon * line.Range * line.Range;
            }

            line.Factor = XMath.Rsqrt(mean);
        }

        if (TTarget.HasScales)
        {
            Quantise(line, target, address, shared.Cast<float>(), lane, size);
        }
        else
        {
            // The halves of what is rotated are computed together.
            int half = line.IsAligned && shape.IsInterleaved == 0 ? shape.RotarySize >> 1 : 0;
            for (int i = 4 * lane; i < size - half; i += 4 << shape.LaneShift)
            {
                int column = i + half;
                if (i < half)
                {
                    Rows8 pairs = line.Pairs(i);
                    target.Store(address, i, pairs.Low, 4, isAligned: true, 1f);
                    target.Store(address, column, pairs.High, 4, isAligned: true, 1f);
                }
                else
                {
                    target.Store(address, column, line.Values(column), size - column, line.IsAligned, 1f);
                }
            }
        }
    }

    // As many threads as a group of elements has fours, or all of the row's, share a group of elements.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quantise<TSource, TTarget>(
        HeadRow<TSource> line, TTarget target, long address, ArrayView<float> largest, int lane, int size)
        where TSource : unmanaged, IElement<TSource>
        where TTarget : struct, IStoredRows
    {
        int shift = IntrinsicMath.Min(line.Shape.LaneShift, TTarget.GroupShift - 2);
        int groupLane = lane & ((1 << shift) - 1);
        int groups = ((line.Shape.Size - 1) >> TTarget.GroupShift) + 1;
        for (int firstGroup = 0; firstGroup < groups; firstGroup += 1 << (line.Shape.LaneShift - shift))
        {
            int group = firstGroup + (lane >> shift);
            int start = group << TTarget.GroupShift;
            int end = IntrinsicMath.Min(size, start + (1 << TTarget.GroupShift));
            float largestOfThread = 0f;
            for (int i = start + 4 * groupLane; i < end; i += 4 << shift)
                largestOfThread = XMath.Max(largestOfThread, FiniteSize(line.Values(i)));
            Group.Barrier();
            largest[Group.IdxX] = largestOfThread;
            Group.Barrier();
            for (int distance = (1 << shift) >> 1; distance > 0; distance >>= 1)
            {
                if (groupLane < distance)
                    largest[Group.IdxX] = XMath.Max(largest[Group.IdxX], largest[Group.IdxX + distance]);
                Group.Barrier();
            }

            float scale = TTarget.Scale(largest[Group.IdxX - groupLane]);
            if (groupLane == 0 && start < size)
                target.StoreScale(address, group, scale);
            for (int i = start + 4 * groupLane; i < end; i += 4 << shift)
                target.Store(address, i, line.Values(i), end - i, line.IsAligned, scale);
        }
    }

    // Infinity for what is not finite: a maximum with NaN differs among devices.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float FiniteSize(Float4 values) =>
        new Float4(FiniteSize(values.X), FiniteSize(values.Y), FiniteSize(values.Z), FiniteSize(values.W)).Max;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float FiniteSize(float value) => ValuePass.IsFinite(value) ? XMath.Abs(value) : float.PositiveInfinity;

    // Of the row as it is, and times either factor of the range.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Float4 MeansOfSquares<TElement>(HeadRow<TElement> line, ArrayView<Float4> sums, int lane, int size)
        where TElement : unmanaged, IElement<TElement>
    {
        Float4 sum = default;
        for (int i = 4 * lane; i < size; i += 4 << line.Shape.LaneShift)
        {
            Float4 values = line.Load(i);
            sum = Float4.Add(sum, new Float4(Squares(values, 1f), Squares(values, Grow), Squares(values, Shrink), 0f));
        }

        sums[Group.IdxX] = sum;
        Group.Barrier();
        for (int distance = (1 << line.Shape.LaneShift) >> 1; distance > 0; distance >>= 1)
        {
            if (lane < distance)
                sums[Group.IdxX] = Float4.Add(sums[Group.IdxX], sums[Group.IdxX + distance]);
            Group.Barrier();
        }

        Float4 means = sums[Group.IdxX - lane];
        means.Scale(1f / line.Shape.Size);
        return means;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Squares(Float4 values, float factor)
    {
        values = new Float4(values.X * factor, values.Y * factor, values.Z * factor, values.W * factor);
        return (values.X * values.X + values.Y * values.Y) + (values.Z * values.Z + values.W * values.W);
    }
}
