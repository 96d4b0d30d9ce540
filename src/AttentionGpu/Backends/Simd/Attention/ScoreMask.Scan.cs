using System.Numerics.Tensors;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>Finds blocks of keys that the masks show or hide as a whole.</summary>
internal sealed unsafe partial class ScoreMask<TVector, TOperations>
{
    private static readonly uint _hiddenBits = BitConverter.SingleToUInt32Bits(float.NegativeInfinity);

    /// <summary>Whether a row that is added to scores hides every key.</summary>
    public static bool HidesAll(float* row, int count) => !Bits(row, count).ContainsAnyExcept(_hiddenBits);

    /// <summary>
    /// Whether a block is all visible or all hidden; <see cref="MaskEffect.AddsByScore"/> where it is neither or not looked at. Stops
    /// at the first sign that it is neither, but any mask can hide it all.
    /// </summary>
    private MaskEffect Scan(in QueryBlock block, int rows, int firstKey, int count)
    {
        MaskEffect effect = ScanPadding(block, firstKey, count);
        if (effect != MaskEffect.HidesAll)
            effect = Join(effect, ScanDocuments(block, firstKey, count));
        if (effect != MaskEffect.HidesAll && _signature.Has(ScoreVariants.Mask))
            effect = Join(effect, ScanRows(block, rows, firstKey, count, context.Extent.Mask, isBoolean: true));
        if (effect != MaskEffect.HidesAll && _signature.Has(ScoreVariants.Bias))
            effect = Join(effect, ScanRows(block, rows, firstKey, count, context.Extent.Bias, isBoolean: false));
        return effect;
    }

    private static MaskEffect Join(MaskEffect left, MaskEffect right) =>
        left == MaskEffect.None || right == MaskEffect.HidesAll ? right : left;

    private MaskEffect ScanPadding(in QueryBlock block, int firstKey, int count)
    {
        if (!_signature.Has(ScoreVariants.KeyPadding))
            return MaskEffect.None;
        var padding = new ReadOnlySpan<byte>(Padding(block.Batch, firstKey), count);
        return !padding.ContainsAnyExcept((byte)0) ? MaskEffect.None
            : padding.Contains((byte)0) ? MaskEffect.AddsByScore
            : MaskEffect.HidesAll;
    }

    private MaskEffect ScanDocuments(in QueryBlock block, int firstKey, int count)
    {
        if (!_signature.Has(ScoreVariants.Documents))
            return MaskEffect.None;
        var queries = new ReadOnlySpan<int>(QueryDocuments(block.Batch, block.FirstQuery), block.Queries);
        var keys = new ReadOnlySpan<int>(KeyDocuments(block.Batch, firstKey), count);
        (int leastQuery, int mostQuery) = (TensorPrimitives.Min(queries), TensorPrimitives.Max(queries));
        (int leastKey, int mostKey) = (TensorPrimitives.Min(keys), TensorPrimitives.Max(keys));
        if (leastQuery > mostKey || mostQuery < leastKey)
            return MaskEffect.HidesAll;
        return leastQuery == mostQuery && leastKey == mostKey ? MaskEffect.None : MaskEffect.AddsByScore;
    }

    private MaskEffect ScanRows(in QueryBlock block, int rows, int firstKey, int count, in MaskStrides mask, bool isBoolean)
    {
        count = mask.Key == 0 ? 1 : count;
        var effect = MaskEffect.None;
        for (int row = 0; row < rows; row++)
        {
            long first = mask.Offset(block.Batch, block.Head, block.FirstQuery + row, firstKey);
            MaskEffect ofRow = isBoolean ? ScanBoolean(first, count) : ScanBias(first, count);
            if (ofRow == MaskEffect.AddsByScore || (row > 0 && ofRow != effect))
                return MaskEffect.AddsByScore;
            effect = ofRow;
        }

        return effect;
    }

    private MaskEffect ScanBoolean(long first, int count)
    {
        var visible = new ReadOnlySpan<byte>(Mask(first), count);
        return !visible.Contains((byte)0) ? MaskEffect.None
            : visible.ContainsAnyExcept((byte)0) ? MaskEffect.AddsByScore
            : MaskEffect.HidesAll;
    }

    // As bits: the search is vectorised for whole numbers. A negative zero counts as something, which costs time only.
    private MaskEffect ScanBias(long first, int count)
    {
        float* bias = Bias(first);
        return !Bits(bias, count).ContainsAnyExcept(0u) ? MaskEffect.None
            : HidesAll(bias, count) ? MaskEffect.HidesAll
            : MaskEffect.AddsByScore;
    }

    private static ReadOnlySpan<uint> Bits(float* row, int count) => new(row, count);
}
