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
    private const ScoreVariants Vectorised = ScoreVariants.Softcap | ScoreVariants.Alibi | ScoreMask<TVector, TOperations>.Variants;

    // Variants without vector code.
    private readonly ScoreVariant[] _others = ScoreVariant.Beside(context.Signature, Vectorised);

    /// <summary>Whether there is anything to do.</summary>
    public bool Exists { get; } = IsIn(context.Signature);

    /// <summary>Whether a signature changes scores.</summary>
    public static bool IsIn(in AttentionSignature signature) => (signature.Variants & ~ScoreMask<TVector, TOperations>.Variants) != 0;

    /// <summary>Changes a block of scores.</summary>
    public void Apply(in QueryBlock block, in KeyRange keys)
    {
        if (context.Signature.Has(ScoreVariants.Softcap))
            ApplySoftcap(block, keys);
        if (context.Signature.Has(ScoreVariants.Alibi))
            ApplyAlibi(block, keys, Slope(block.Batch, block.Head));
    }

    /// <summary>Changes the scores of one query; there is room for whole vectors.</summary>
    public void ApplyRow(int batch, int head, int position, int firstKey, float* scores, int count)
    {
        if (context.Signature.Has(ScoreVariants.Softcap))
            ApplySoftcap(scores, count);
        if (!context.Signature.Has(ScoreVariants.Alibi))
            return;
        float slope = Slope(batch, head);
        for (int i = 0; i < count; i++)
            scores[i] -= slope * Math.Abs(position - firstKey - i);
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
}
