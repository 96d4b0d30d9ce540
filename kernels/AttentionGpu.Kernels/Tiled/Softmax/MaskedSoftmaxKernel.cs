using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Variants;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Softmax;

/// <summary>The sizes of a stack of score matrices [batch, heads, queries, keys], contiguous.</summary>
public struct SoftmaxArguments
{
    /// <summary>Query heads in a batch entry.</summary>
    public int Heads;

    /// <summary>Rows of a matrix.</summary>
    public int QueryLength;

    /// <summary>Columns of a matrix.</summary>
    public int KeyLength;

    /// <summary>Every batch entry's lengths and positions, unless there is a table.</summary>
    public Sequence Sequence;

    /// <summary>Not 0 where the batch entries' sequences come from a table.</summary>
    public int HasSequences;

    /// <summary>Not 0 where each head has a sink.</summary>
    public int HasSinks;

    /// <summary>The head of a row of the stack.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly SequenceHead Head(long row, ArrayView<Sequence> sequences)
    {
        int batch = (int)(row / QueryLength / Heads);
        return new SequenceHead
        {
            Batch = batch,
            Head = (int)(row / QueryLength % Heads),
            Sequence = HasSequences != 0 ? sequences[batch] : Sequence,
        };
    }
}

/// <summary>Turns scaled scores into attention weights, or into what they are on the way, for callers who ask to see them.</summary>
public static class MaskedSoftmaxKernel
{
    /// <summary>Most threads in a group; the group's size is a power of two up to it.</summary>
    public const int MaxThreads = 256;

    /// <summary>
    /// The weights, in place. One group a row: each thread runs a softmax over its share of the keys, the states merge in shared memory
    /// (log2(threads) barriers), and a second pass writes the weights. Two reads and one write a score. A row that sees no key becomes
    /// zeros.
    /// </summary>
    public static void Normalize<TRange, TVariant>(
        SoftmaxArguments shape, ArrayView<float> scores, ArrayView<Sequence> sequences, ArrayView<float> sinks, TRange range, TVariant variant)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        ArrayView<OnlineSoftmax> states = SharedMemory.Allocate<OnlineSoftmax>(MaxThreads);
        int row = Grid.IdxX;
        int query = row % shape.QueryLength;
        SequenceHead head = shape.Head(row, sequences);
        long rowBase = (long)row * shape.KeyLength;
        int thread = Group.IdxX;

        OnlineSoftmax state = OnlineSoftmax.Empty;
        for (int key = thread; key < shape.KeyLength; key += Group.DimX)
            state.Add(Change(scores[rowBase + key], head, query, key, range, variant));
        states[thread] = state;
        Group.Barrier();
        for (int distance = Group.DimX / 2; distance > 0; distance /= 2)
        {
            if (thread < distance)
                states[thread] = OnlineSoftmax.Merge(states[thread], states[thread + distance]);
            Group.Barrier();
        }

        state = states[0];
        state.Finish(shape.HasSinks != 0 ? sinks[head.Head] : float.NegativeInfinity);
        float normalizer = state.Normalizer;
        for (int key = thread; key < shape.KeyLength; key += Group.DimX)
        {
            scores[rowBase + key] =
                state.Weight(Change(scores[rowBase + key], head, query, key, range, variant)) * normalizer;
        }
    }

    /// <summary>
    /// Scores as a range and a variant leave them, -inf where a key is hidden, as elements of any kind; one thread a score. May work in
    /// place. One read and one write a score: bound by memory.
    /// </summary>
    public static void Store<TElement, TRange, TVariant>(
        SoftmaxArguments shape, ArrayView<float> scores, ArrayView<TElement> target, ArrayView<Sequence> sequences, TRange range, TVariant variant)
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        long element = (long)Grid.IdxX * Group.DimX + Group.IdxX;
        if (element >= scores.Length)
            return;
        long row = element / shape.KeyLength;
        target[element] = TElement.FromSingle(Change(
            scores[element], shape.Head(row, sequences), (int)(row % shape.QueryLength), (int)(element % shape.KeyLength), range, variant));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Change<TRange, TVariant>(float score, SequenceHead head, int query, int key, TRange range, TVariant variant)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant =>
        key >= range.FirstKey(head.Sequence, query) && key < range.EndKey(head.Sequence, query)
            ? variant.Apply(score, head, query, key)
            : float.NegativeInfinity;
}
