using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Backends.Variants;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// What becomes of scores by computing alone: soft capping, then a bias by distance; and by all variants without vector code.
/// </summary>
internal sealed unsafe class ScoreTransform<TVector, TOperations>(AttentionContext context)
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // What hides keys only: masks from memory, and a tree, which has its place beside position.
    private const ScoreVariants Hiding = ScoreMask<TVector, TOperations>.Variants | ScoreVariants.Tree;

    private const ScoreVariants Vectorised = ScoreVariants.Softcap | ScoreVariants.Alibi | ScoreVariants.DistanceBias | Hiding;

    // Variants without vector code.
    private readonly ScoreVariant[] _others = ScoreVariant.Beside(context.Signature, Vectorised);

    /// <summary>Whether there is anything to do.</summary>
    public bool Exists { get; } = IsIn(context.Signature);

    /// <summary>Whether a signature changes scores.</summary>
    public static bool IsIn(in AttentionSignature signature) => (signature.Variants & ~Hiding) != 0;

    /// <summary>Changes a block of scores.</summary>
    public void Apply(in QueryBlock block, in KeyRange keys)
    {
        if (context.Signature.Has(ScoreVariants.Softcap))
            ApplySoftcap(block, keys);
        if (context.Signature.Has(ScoreVariants.Alibi))
            ApplyAlibi(block, keys, Slope(block.Batch, block.Head));
        if (context.Signature.Has(ScoreVariants.DistanceBias))
            ApplyDistanceBias(block, keys);
    }

    /// <summary>Changes the scores of one query; there is room for whole vectors.</summary>
    public void ApplyRow(int batch, int head, int position, int firstKey, float* scores, int count)
    {
        if (context.Signature.Has(ScoreVariants.Softcap))
            ApplySoftcap(scores, count);
        if (context.Signature.Has(ScoreVariants.Alibi))
        {
            float slope = Slope(batch, head);
            for (int i = 0; i < count; i++)
                scores[i] -= slope * Math.Abs(position - firstKey - i);
        }

        if (context.Signature.Has(ScoreVariants.DistanceBias))
        {
            DistanceTable table = Distances(head);
            for (int i = 0; i < count; i++)
                scores[i] += table[(long)firstKey + i - position];
        }
    }

    /// <summary>Changes a block of scores, after masks, by the variants that there is no vector code for: score by score.</summary>
    public void ApplyOthers(in QueryBlock block, in KeyRange keys)
    {
        for (int i = 0; i < keys.Count && _others.Length != 0; i++)
        {
            float* row = block.Scores + (nint)i * block.Lanes;
            for (int lane = keys.FirstLane; lane < block.Queries; lane++)
                row[lane] = ApplyOthers(row[lane], block.Sequence, block.Batch, block.Head, block.FirstQuery + lane, keys.First + i);
        }
    }

    /// <summary>The same for the scores of one query.</summary>
    public void ApplyOthersToRow(in Sequence sequence, int batch, int head, int query, int firstKey, Span<float> scores)
    {
        for (int i = 0; i < scores.Length && _others.Length != 0; i++)
            scores[i] = ApplyOthers(scores[i], sequence, batch, head, query, firstKey + i);
    }

    private float Slope(int batch, int head) =>
        context.Buffers.AlibiSlopes.Pointer<float>()[batch * context.Extent.AlibiBatchStride + head];

    private DistanceTable Distances(int head)
    {
        int reach = context.Extent.DistanceReach;
        return new DistanceTable(context.Buffers.DistanceBias.Pointer<float>() + head * (2L * reach + 1) + reach, reach);
    }

    private float ApplyOthers(double score, in Sequence sequence, int batch, int head, int query, int key)
    {
        var point = new ScorePoint(in context.Extent, in context.Buffers)
        {
            Sequence = sequence,
            Batch = batch,
            Head = head,
            Query = query,
            Key = key,
        };
        foreach (ScoreVariant variant in _others)
            score = double.IsNegativeInfinity(score) || variant.Hides(point) ? double.NegativeInfinity : variant.Change(score, point);
        return (float)score;
    }

    /// <summary>A vector of scores: 1 load, 1 store, 1 hyperbolic tangent (about 24), 2 multiplications.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void ApplySoftcap(in QueryBlock block, in KeyRange keys)
    {
        TVector cap = TOperations.Broadcast(context.Extent.Softcap);
        TVector inverse = TOperations.Broadcast(1f / context.Extent.Softcap);
        for (int i = 0; i < keys.Count; i++)
        {
            float* row = block.Scores + (nint)i * block.Lanes;
            for (int lane = keys.FirstLane; lane < block.Lanes; lane += TOperations.Width)
            {
                TVector scaled = TOperations.Multiply(TOperations.Load(row + lane), inverse);
                TOperations.Store(TOperations.Multiply(VectorMath<TVector, TOperations>.Tanh(scaled), cap), row + lane);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ApplySoftcap(float* scores, int count)
    {
        TVector cap = TOperations.Broadcast(context.Extent.Softcap);
        TVector inverse = TOperations.Broadcast(1f / context.Extent.Softcap);
        for (int i = 0; i < count; i += TOperations.Width)
        {
            TVector scaled = TOperations.Multiply(TOperations.Load(scores + i), inverse);
            TOperations.Store(TOperations.Multiply(VectorMath<TVector, TOperations>.Tanh(scaled), cap), scores + i);
        }
    }

    /// <summary>A vector of scores: 1 load, 1 store, 4 operations.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ApplyAlibi(in QueryBlock block, in KeyRange keys, float slope)
    {
        TVector factor = TOperations.Broadcast(-slope);
        for (int i = 0; i < keys.Count; i++)
        {
            float* row = block.Scores + (nint)i * block.Lanes;
            long distance = (long)block.FirstQuery + block.Sequence.DistanceOffset - keys.First - i;
            for (int lane = keys.FirstLane; lane < block.Lanes; lane += TOperations.Width)
            {
                TVector steps = TOperations.Add(TOperations.Indices, TOperations.Broadcast(distance + lane));
                TVector size = TOperations.Max(steps, TOperations.Subtract(TOperations.Zero, steps));
                TOperations.Store(TOperations.MultiplyAdd(size, factor, TOperations.Load(row + lane)), row + lane);
            }
        }
    }

    /// <summary>
    /// The biases of a block lie on its diagonals. They are written out once, keys + lanes floats, so that a vector of scores costs 2
    /// loads, 1 store and 1 addition.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ApplyDistanceBias(in QueryBlock block, in KeyRange keys)
    {
        DistanceTable table = Distances(block.Head);
        int count = keys.Count + block.Lanes;
        float* diagonals = stackalloc float[count];

        // The distance falls from lane to lane, and grows from key to key: the last key of the first lane comes first.
        long largest = keys.First + (keys.Count - 1L) - block.FirstQuery - block.Sequence.DistanceOffset;
        for (int i = 0; i < count; i++)
            diagonals[i] = table[largest - i];
        for (int i = 0; i < keys.Count; i++)
        {
            float* row = block.Scores + (nint)i * block.Lanes;
            float* biases = diagonals + (keys.Count - 1 - i);
            for (int lane = keys.FirstLane; lane < block.Lanes; lane += TOperations.Width)
                TOperations.Store(TOperations.Add(TOperations.Load(row + lane), TOperations.Load(biases + lane)), row + lane);
        }
    }

    /// <summary>The biases of a head by distance.</summary>
    private readonly struct DistanceTable(float* own, int reach)
    {
        public float this[long distance] => own[Math.Clamp(distance, -reach, reach)];
    }
}
