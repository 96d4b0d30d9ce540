using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Common.Variants;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Softmax;

/// <summary>Turns scaled scores into attention weights, or into what they are on the way, for callers who ask to see them.</summary>
public static class MaskedSoftmaxKernel
{
    /// <summary>Most threads in a group; the group's size is a power of two up to it.</summary>
    public const int MaxThreads = 256;

    /// <summary>
    /// The weights, in place. One group a row: each thread runs a softmax over its share of the keys, four at a time, the states merge in
    /// shared memory (log2(threads) barriers), and a second pass writes the weights. The first four scores of a thread stay in registers;
    /// the others are read twice. Nine exponentials for four scores. A row that sees no key becomes zeros.
    /// </summary>
    /// <param name="shape">Sizes; all threads of a group share a row.</param>
    /// <param name="scores">The scores, and then the weights.</param>
    /// <param name="sequences">A sequence a batch entry.</param>
    /// <param name="sinks">A last score a head, which has no weight.</param>
    /// <param name="range">The keys that a query can see.</param>
    /// <param name="variant">What else becomes of a score.</param>
    public static void Normalize<TRange, TVariant>(
        SoftmaxArguments shape, ArrayView<SingleElement> scores, ArrayView<Sequence> sequences, ArrayView<float> sinks, TRange range,
        TVariant variant)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        ArrayView<OnlineSoftmax> states = SharedMemory.Allocate<OnlineSoftmax>(MaxThreads);
        var row = ScoreRow<TRange, TVariant>.Create(shape, Grid.IdxX, scores, sequences, range, variant);
        int thread = Group.IdxX;
        int firstKey = 4 * thread;
        int step = 4 * Group.DimX;

        OnlineSoftmax state = OnlineSoftmax.Empty;
        Float4 first = default;
        if (firstKey < row.Length)
        {
            first = row.Load(firstKey);
            Add(ref state, first);
        }

        for (int key = firstKey + step; key < row.Length; key += step)
            Add(ref state, row.Load(key));
        states[thread] = state;
        Group.Barrier();
        for (int distance = Group.DimX / 2; distance > 0; distance /= 2)
        {
            if (thread < distance)
                states[thread] = OnlineSoftmax.Merge(states[thread], states[thread + distance]);
            Group.Barrier();
        }

        state = states[0];
        state.Finish(shape.HasSinks != 0 ? sinks[row.Head.Head] : float.NegativeInfinity);
        float normalizer = state.Normalizer;
        if (firstKey < row.Length)
            row.Store(scores, firstKey, Weights(state, first, normalizer));
        for (int key = firstKey + step; key < row.Length; key += step)
            row.Store(scores, key, Weights(state, row.Load(key), normalizer));
    }

    /// <summary>
    /// Scores as a range and a variant leave them, -inf where a key is hidden, as elements of any kind; the threads of a row four of its
    /// scores each at once. May work in place. One read and one write of four scores: bound by memory.
    /// </summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="scores">The scores.</param>
    /// <param name="target">Where they go: [batch, heads, queries, keys], contiguous.</param>
    /// <param name="sequences">A sequence a batch entry.</param>
    /// <param name="range">The keys that a query can see.</param>
    /// <param name="variant">What else becomes of a score.</param>
    public static void Store<TElement, TRange, TVariant>(
        SoftmaxArguments shape, ArrayView<SingleElement> scores, ArrayView<TElement> target, ArrayView<Sequence> sequences, TRange range,
        TVariant variant)
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        var thread = new ThreadRow(shape.LaneShift);
        var row = ScoreRow<TRange, TVariant>.Create(shape, thread.Row, scores, sequences, range, variant);
        for (int key = 4 * thread.Lane; key < row.Length; key += 4 << shape.LaneShift)
            row.Store(target, key, row.Load(key));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(ref OnlineSoftmax state, Float4 scores)
    {
        state.Raise(scores.Max);
        state.Sum += state.Weights(scores).Sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Float4 Weights(OnlineSoftmax state, Float4 scores, float normalizer)
    {
        Float4 weights = state.Weights(scores);
        weights.Scale(normalizer);
        return weights;
    }
}
