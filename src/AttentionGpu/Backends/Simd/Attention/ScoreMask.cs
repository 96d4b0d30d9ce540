using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>What a mask from memory does to a block of scores.</summary>
internal enum MaskEffect
{
    /// <summary>Nothing: every key is visible as it is.</summary>
    None,

    /// <summary>It hides every key from every query.</summary>
    HidesAll,

    /// <summary>It adds to the scores of a key the same for every query.</summary>
    AddsByKey,

    /// <summary>It adds to each score by itself.</summary>
    AddsByScore,
}

/// <summary>
/// Boolean, additive, document and key padding masks on the host, as one panel of what is added to the scores: -inf hides, whatever the
/// score.
/// </summary>
internal sealed unsafe class ScoreMask<TVector, TOperations>(AttentionContext context)
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    /// <summary>The masks in memory.</summary>
    public const ScoreVariants Variants = ScoreVariants.Mask | ScoreVariants.Bias | ScoreVariants.Documents | ScoreVariants.KeyPadding;

    private static readonly uint _hiddenBits = BitConverter.SingleToUInt32Bits(float.NegativeInfinity);

    private readonly AttentionSignature _signature = context.Signature;

    /// <summary>Whether there is a mask in memory at all.</summary>
    public bool Exists { get; } = IsIn(context.Signature);

    /// <summary>Whether a signature has a mask in memory.</summary>
    public static bool IsIn(in AttentionSignature signature) => signature.Has(Variants);

    /// <summary>Reads the mask of a block of keys into <see cref="QueryBlock.Mask"/>, and says what it does.</summary>
    public MaskEffect Read(in QueryBlock block, int firstKey, int count)
    {
        if (!Exists)
            return MaskEffect.None;
        bool byKey = (!_signature.Has(ScoreVariants.Mask) || context.Extent.Mask.Query == 0)
            && (!_signature.Has(ScoreVariants.Bias) || context.Extent.Bias.Query == 0)
            && !_signature.Has(ScoreVariants.Documents);
        int rows = byKey ? 1 : block.Queries;
        MaskEffect effect = Scan(block, rows, firstKey, count);
        if (effect is MaskEffect.None or MaskEffect.HidesAll)
            return effect;
        if (byKey)
        {
            ReadRow(block.Batch, block.Head, block.FirstQuery, firstKey, count, block.Mask);
            return MaskEffect.AddsByKey;
        }

        bool isPlain = (_signature.Variants & Variants) == ScoreVariants.Bias && context.Extent.Bias.Key == 1;
        float** pointers = stackalloc float*[rows];
        for (int lane = 0; lane < rows; lane++)
        {
            if (isPlain)
            {
                pointers[lane] = Bias(context.Extent.Bias.Offset(block.Batch, block.Head, block.FirstQuery + lane, firstKey));
                continue;
            }

            pointers[lane] = block.Rows + (nint)lane * count;
            ReadRow(block.Batch, block.Head, block.FirstQuery + lane, firstKey, count, pointers[lane]);
        }

        Panel.Pack(block.Mask, block.Lanes, pointers, rows, count, 1f);
        return MaskEffect.AddsByScore;
    }

    /// <summary>Adds what <see cref="Read"/> has read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Apply(MaskEffect effect, in QueryBlock block, int count)
    {
        TVector lowest = TOperations.Broadcast(float.MinValue);
        TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
        float* score = block.Scores;
        for (int key = 0; key < count; key++)
        {
            TVector byKey = TOperations.Broadcast(block.Mask[key]);
            for (int lane = 0; lane < block.Lanes; lane += TOperations.Width)
            {
                TVector added = effect == MaskEffect.AddsByKey ? byKey : TOperations.Load(block.Mask + (nint)key * block.Lanes + lane);
                TVector sum = TOperations.Add(TOperations.Load(score), added);
                TOperations.Store(TOperations.SelectLess(added, lowest, hidden, sum), score);
                score += TOperations.Width;
            }
        }
    }

    /// <summary>Reads what is added to the scores of one query into <paramref name="row"/>.</summary>
    public void ReadRow(int batch, int head, int query, int firstKey, int count, float* row)
    {
        if (_signature.Has(ScoreVariants.Bias))
        {
            float* bias = Bias(context.Extent.Bias.Offset(batch, head, query, firstKey));
            long stride = context.Extent.Bias.Key;
            for (int key = 0; key < count; key++)
                row[key] = bias[key * stride];
        }
        else
        {
            new Span<float>(row, count).Clear();
        }

        if (_signature.Has(ScoreVariants.Mask))
        {
            byte* visible = Mask(context.Extent.Mask.Offset(batch, head, query, firstKey));
            long stride = context.Extent.Mask.Key;
            int key = stride == 1 ? HideWhereZero(visible, row, count) : 0;
            for (; key < count; key++)
                row[key] = visible[key * stride] != 0 ? row[key] : float.NegativeInfinity;
        }

        if (_signature.Has(ScoreVariants.Documents))
        {
            int own = *QueryDocuments(batch, query);
            int* numbers = KeyDocuments(batch, firstKey);
            for (int key = 0; key < count; key++)
                row[key] = numbers[key] == own ? row[key] : float.NegativeInfinity;
        }

        if (!_signature.Has(ScoreVariants.KeyPadding))
            return;
        byte* padding = Padding(batch, firstKey);
        for (int key = 0; key < count; key++)
            row[key] = padding[key] == 0 ? row[key] : float.NegativeInfinity;
    }

    // 16 keys: 1 load, 3 widenings, 4 comparisons and selections, 4 loads and stores. Returns how many keys are done.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int HideWhereZero(byte* visible, float* row, int count)
    {
        int key = 0;
        for (; key + Vector128<byte>.Count <= count; key += Vector128<byte>.Count)
        {
            (Vector128<ushort> low, Vector128<ushort> high) = Vector128.Widen(Vector128.Load(visible + key));
            Hide(low, row + key);
            Hide(high, row + key + Vector128<ushort>.Count);
        }

        return key;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Hide(Vector128<ushort> visible, float* row)
        {
            (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(visible);
            Vector128<float> hidden = Vector128.Create(float.NegativeInfinity);
            Vector128.ConditionalSelect(Vector128.Equals(low, Vector128<uint>.Zero).AsSingle(), hidden, Vector128.Load(row)).Store(row);
            row += Vector128<float>.Count;
            Vector128.ConditionalSelect(Vector128.Equals(high, Vector128<uint>.Zero).AsSingle(), hidden, Vector128.Load(row)).Store(row);
        }
    }

    /// <summary>
    /// Whether a block is all visible or all hidden, for the usual masks whose keys are neighbours; <see cref="MaskEffect.AddsByScore"/>
    /// where it is neither or not looked at. Stops at the first sign that it is neither, but any mask can hide it all.
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
        if (mask.Key != 1)
            return MaskEffect.AddsByScore;
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
        ReadOnlySpan<uint> bias = MemoryMarshal.Cast<float, uint>(new ReadOnlySpan<float>(Bias(first), count));
        return !bias.ContainsAnyExcept(0u) ? MaskEffect.None
            : bias.ContainsAnyExcept(_hiddenBits) ? MaskEffect.AddsByScore
            : MaskEffect.HidesAll;
    }

    private float* Bias(long element) => context.Buffers.Bias.Pointer<float>() + element;

    private byte* Mask(long element) => context.Buffers.Mask.Pointer<byte>() + element;

    private int* QueryDocuments(int batch, int query) =>
        context.Buffers.QueryDocuments.Pointer<int>() + (long)batch * context.Extent.QueryLength + query;

    private int* KeyDocuments(int batch, int key) =>
        context.Buffers.KeyDocuments.Pointer<int>() + (long)batch * context.Extent.KeyLength + key;

    private byte* Padding(int batch, int firstKey) =>
        context.Buffers.KeyPadding.Pointer<byte>() + (long)batch * context.Extent.KeyLength + firstKey;
}
