using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;
using ILGPU.Algorithms;

namespace AttentionGpu.Kernels.Common.Heads;

/// <summary>The sizes and layouts of a stack of rows that are copied, and normalised and rotated on the way.</summary>
public struct HeadTransformArguments
{
    /// <summary>Rows of a head; of the longest sequence where they differ.</summary>
    public int Length;

    /// <summary>Heads in a batch entry.</summary>
    public int Heads;

    /// <summary>Elements of a row.</summary>
    public int Size;

    /// <summary>Elements at the start of a row that are rotated, in pairs; even. 0 for none.</summary>
    public int RotarySize;

    /// <summary>Not 0 where the pairs are neighbours; else one is half the rotary size after the other.</summary>
    public int IsInterleaved;

    /// <summary>Not 0 where rows are normalised first.</summary>
    public int HasNorm;

    /// <summary>What is added to the mean of squares.</summary>
    public float Epsilon;

    /// <summary>Not 0 where the position of each row is in memory; else row i of a sequence has the first position plus i.</summary>
    public int HasPositions;

    /// <summary>The position of a sequence's first row, where positions are not in memory.</summary>
    public int FirstPosition;

    /// <summary>Rows from one batch entry's rotary tables to the next; 0 where all have the same.</summary>
    public int TableStride;

    /// <summary>Not 0 where the batch entries' sequences come from a table.</summary>
    public int HasSequences;

    /// <summary>Not 0 where the rows are a sequence's keys, 0 where they are its queries.</summary>
    public int RowsAreKeys;

    /// <summary>Where the rows come from.</summary>
    public RowLayout Source;

    /// <summary>Where they go.</summary>
    public RowLayout Target;
}

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
    /// bound by memory. Normalisation adds a pass over the row and log2(threads) barriers.
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
        HeadTransformArguments shape, ArrayView<TSource> source, ArrayView<TTarget> target,
        ArrayView<float> norm, ArrayView<float> cosine, ArrayView<float> sine, ArrayView<int> positions, ArrayView<Sequence> sequences)
        where TSource : unmanaged, IElement<TSource>
        where TTarget : unmanaged, IElement<TTarget>
    {
        ArrayView<float> squares = SharedMemory.Allocate<float>(MaxThreads);
        int row = Grid.IdxX % shape.Length;
        int matrix = Grid.IdxX / shape.Length;
        int position = shape.FirstPosition + row;
        long positionIndex = (long)(matrix / shape.Heads) * shape.Length + row;
        if (shape.HasSequences != 0)
        {
            Sequence sequence = sequences[matrix / shape.Heads];

            // Sequences that are shorter than the longest leave groups without a row.
            if (row >= (shape.RowsAreKeys != 0 ? sequence.KeyLength : sequence.QueryLength))
                return;
            row += shape.RowsAreKeys != 0 ? sequence.KeyStart : sequence.QueryStart;
            positionIndex = row;
        }

        long sourceBase = shape.Source.Base(matrix) + shape.Source.Row(row);
        long targetBase = shape.Target.Base(matrix) + shape.Target.Row(row);
        float scale = 1f;
        float factor = 1f;
        if (shape.HasNorm != 0)
        {
            float mean = MeanOfSquares(shape, squares, source, sourceBase, scale);
            if (!(mean >= SmallestMean && mean <= float.MaxValue))
            {
                // Squares overflow, or lose their digits, where the row itself does not. All threads have the same mean.
                scale = mean < SmallestMean ? Grow : Shrink;
                Group.Barrier();
                mean = MeanOfSquares(shape, squares, source, sourceBase, scale);
            }

            factor = XMath.Rsqrt(mean);
        }

        if (shape.HasPositions != 0)
            position = positions[positionIndex];
        long tableRow = (long)(matrix / shape.Heads) * shape.TableStride + position;
        int half = shape.RotarySize / 2;
        for (int i = Group.IdxX; i < shape.Size; i += Group.DimX)
        {
            float value = Load(shape, source, sourceBase, norm, i, scale, factor);
            if (i < shape.RotarySize)
            {
                bool isFirst = shape.IsInterleaved != 0 ? i % 2 == 0 : i < half;
                int distance = shape.IsInterleaved != 0 ? 1 : half;
                int pair = shape.IsInterleaved != 0 ? i / 2 : i % half;
                float partner = Load(shape, source, sourceBase, norm, isFirst ? i + distance : i - distance, scale, factor);
                long angle = tableRow * half + pair;
                value = value * cosine[angle] + (isFirst ? -partner : partner) * sine[angle];
            }

            target[targetBase + i] = TTarget.FromSingle(value);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Load<TElement>(
        HeadTransformArguments shape, ArrayView<TElement> source, long sourceBase, ArrayView<float> norm, int element, float scale,
        float factor)
        where TElement : unmanaged, IElement<TElement>
    {
        float value = source[sourceBase + element].ToSingle();
        return shape.HasNorm != 0 ? value * scale * factor * norm[element] : value;
    }

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
