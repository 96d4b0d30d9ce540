using AttentionGpu.Kernels.Masks;
using ILGPU;

namespace AttentionGpu.Kernels.Softmax;

/// <summary>The sizes of a stack of score matrices [batch, heads, queries, keys], contiguous.</summary>
public struct SoftmaxShape
{
    /// <summary>Query heads in a batch entry.</summary>
    public int Heads;

    /// <summary>Rows of a matrix.</summary>
    public int QueryLength;

    /// <summary>Columns of a matrix.</summary>
    public int KeyLength;
}

/// <summary>Turns scaled scores into attention weights in place, for callers who ask to see them.</summary>
public static class MaskedSoftmaxKernel
{
    /// <summary>Most threads in a group; the group's size is a power of two up to it.</summary>
    public const int MaxThreads = 256;

    /// <summary>
    /// One group a row: each thread runs a softmax over its share of the keys, the states merge in shared memory (log2(threads)
    /// barriers), and a second pass writes the weights. Two reads and one write a score. A row that sees no key becomes zeros.
    /// </summary>
    public static void Normalize<TMask>(SoftmaxShape shape, ArrayView<float> scores, TMask mask)
        where TMask : struct, IAttentionMask
    {
        ArrayView<OnlineSoftmax> states = SharedMemory.Allocate<OnlineSoftmax>(MaxThreads);
        int row = Grid.IdxX;
        int query = row % shape.QueryLength;
        int head = row / shape.QueryLength % shape.Heads;
        int batch = row / shape.QueryLength / shape.Heads;
        long rowBase = (long)row * shape.KeyLength;
        int thread = Group.IdxX;

        OnlineSoftmax state = OnlineSoftmax.Empty;
        for (int key = thread; key < shape.KeyLength; key += Group.DimX)
            state.Add(mask.Apply(scores[rowBase + key], batch, head, query, key));
        states[thread] = state;
        Group.Barrier();
        for (int distance = Group.DimX / 2; distance > 0; distance /= 2)
        {
            if (thread < distance)
                states[thread] = OnlineSoftmax.Merge(states[thread], states[thread + distance]);
            Group.Barrier();
        }

        state = states[0];
        float normalizer = state.Normalizer;
        for (int key = thread; key < shape.KeyLength; key += Group.DimX)
            scores[rowBase + key] = state.Weight(mask.Apply(scores[rowBase + key], batch, head, query, key)) * normalizer;
    }
}
