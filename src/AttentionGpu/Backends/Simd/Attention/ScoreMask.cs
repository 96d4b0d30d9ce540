using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
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
/// Boolean, additive, document and key padding masks on the host. What is hidden gets the score -inf, whatever it was.
/// </summary>
internal sealed unsafe partial class ScoreMask<TVector, TOperations>(AttentionContext context)
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    /// <summary>The masks in memory.</summary>
    public const ScoreVariants Variants = ScoreVariants.Mask | ScoreVariants.Bias | ScoreVariants.Documents | ScoreVariants.KeyPadding;

    // Keys whose masks are read at once: their rows, the panel made of them and their scores stay in L1.
    private const int PanelKeys = 64;

    private readonly AttentionSignature _signature = context.Signature;

    /// <summary>Whether there is a mask in memory at all.</summary>
    public bool Exists { get; } = IsIn(context.Signature);

    /// <summary>Whether a signature has a mask in memory.</summary>
    public static bool IsIn(in AttentionSignature signature) => signature.Has(Variants);

    /// <summary>What the masks do to a block of keys.</summary>
    public MaskEffect Effect(in QueryBlock block, int firstKey, int count)
    {
        if (!Exists)
            return MaskEffect.None;
        bool byKey = (!_signature.Has(ScoreVariants.Mask) || context.Extent.Mask.Query == 0)
            && (!_signature.Has(ScoreVariants.Bias) || context.Extent.Bias.Query == 0)
            && !_signature.Has(ScoreVariants.Documents);
        MaskEffect effect = Scan(block, byKey ? 1 : block.Queries, firstKey, count);
        if (effect != MaskEffect.AddsByScore)
            return effect;
        if (byKey)
            return MaskEffect.AddsByKey;
        Fetch(block, firstKey, count);
        return effect;
    }

    // Rows of a mask lie far apart, each a few lines: the processor sees no stream. They come while the scores are computed.
    private void Fetch(in QueryBlock block, int firstKey, int count)
    {
        bool bias = _signature.Has(ScoreVariants.Bias) && context.Extent.Bias is { Key: 1, Query: not 0 };
        bool mask = _signature.Has(ScoreVariants.Mask) && context.Extent.Mask is { Key: 1, Query: not 0 };
        for (int lane = 0; lane < block.Queries; lane++)
        {
            int query = block.FirstQuery + lane;
            if (bias)
                Prefetch.Bytes((byte*)Bias(context.Extent.Bias.Offset(block.Batch, block.Head, query, firstKey)), count * sizeof(float));
            if (mask)
                Prefetch.Bytes(Mask(context.Extent.Mask.Offset(block.Batch, block.Head, query, firstKey)), count);
        }
    }

    /// <summary>Changes the scores of a block of keys that <see cref="Effect"/> has looked at.</summary>
    public void Apply(MaskEffect effect, in QueryBlock block, int firstKey, int count)
    {
        if (effect == MaskEffect.AddsByKey)
        {
            ReadRow(block.Batch, block.Head, block.FirstQuery, firstKey, count, block.Mask);
            AddByKey(block, count);
            return;
        }

        for (int key = 0; key < count; key += PanelKeys)
        {
            int keys = Math.Min(PanelKeys, count - key);
            float* scores = block.Scores + (nint)key * block.Lanes;
            if (_signature.Has(ScoreVariants.Bias))
                AddBias(block, firstKey + key, keys, scores);
            if (_signature.Has(ScoreVariants.Mask))
                HideByMask(block, firstKey + key, keys, scores);
            if (_signature.Has(ScoreVariants.Documents))
                HideByDocuments(block, firstKey + key, keys, scores);
            if (_signature.Has(ScoreVariants.KeyPadding))
                HideByPadding(block, firstKey + key, keys, scores);
        }
    }

    private void AddBias(in QueryBlock block, int firstKey, int count, float* scores)
    {
        float* first = Bias(context.Extent.Bias.Offset(block.Batch, block.Head, block.FirstQuery, firstKey));
        long stride = context.Extent.Bias.Key;
        float** rows = stackalloc float*[block.Queries];
        for (int lane = 0; lane < block.Queries; lane++)
        {
            float* row = first + lane * context.Extent.Bias.Query;
            rows[lane] = stride == 1 ? row : block.Rows + (nint)lane * count;
            if (stride == 0)
                new Span<float>(rows[lane], count).Fill(*row);
        }

        Panel.Pack(block.Mask, block.Lanes, rows, block.Queries, count, 1f);
        AddByScore(block, scores, count);
    }

    // The mask is read in squares of 16 queries and 16 keys.
    private void HideByMask(in QueryBlock block, int firstKey, int count, float* scores)
    {
        byte* first = Mask(context.Extent.Mask.Offset(block.Batch, block.Head, block.FirstQuery, firstKey));
        long stride = context.Extent.Mask.Key;
        byte* square = stackalloc byte[ByteSquare.Size * ByteSquare.Size];
        byte** rows = stackalloc byte*[ByteSquare.Size];
        for (int lane = 0; lane < block.Queries; lane += ByteSquare.Size)
        {
            // Lanes beyond the last query repeat it; nobody reads them.
            for (int i = 0; i < ByteSquare.Size; i++)
                rows[i] = first + Math.Min(lane + i, block.Queries - 1) * context.Extent.Mask.Query;
            if (stride == 0)
                ByteSquare.Gather(rows, 0, stride, ByteSquare.Size, square);
            for (int key = 0; key < count; key += ByteSquare.Size)
            {
                int keys = Math.Min(ByteSquare.Size, count - key);
                if (stride == 1 && keys == ByteSquare.Size && ByteSquare.IsSupported)
                    ByteSquare.Transpose(rows, key, square);
                else if (stride != 0)
                    ByteSquare.Gather(rows, key, stride, keys, square);
                HideSquare(block, square, keys, Math.Min(ByteSquare.Size, block.Lanes - lane), scores + (nint)key * block.Lanes + lane);
            }
        }
    }

    // A vector of scores: 1 load of bytes, 1 widening, 1 comparison, 1 load, 1 selection, 1 store.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void HideSquare(in QueryBlock block, byte* square, int keys, int lanes, float* scores)
    {
        TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
        nint stride = block.Lanes;
        for (int key = 0; key < keys; key++)
        {
            for (int lane = 0; lane < lanes; lane += TOperations.Width)
                TOperations.Store(TOperations.SelectZero(square + lane, hidden, TOperations.Load(scores + lane)), scores + lane);
            square += ByteSquare.Size;
            scores += stride;
        }
    }

    // A vector of scores: 2 loads, 1 comparison, 1 selection, 1 store.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void HideByDocuments(in QueryBlock block, int firstKey, int count, float* scores)
    {
        int* own = stackalloc int[block.Lanes];
        new ReadOnlySpan<int>(QueryDocuments(block.Batch, block.FirstQuery), block.Queries).CopyTo(new Span<int>(own, block.Queries));
        int* numbers = KeyDocuments(block.Batch, firstKey);
        TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
        for (int key = 0; key < count; key++)
        {
            int number = numbers[key];
            for (int lane = 0; lane < block.Lanes; lane += TOperations.Width, scores += TOperations.Width)
                TOperations.Store(TOperations.SelectEqual(own + lane, number, TOperations.Load(scores), hidden), scores);
        }
    }

    private void HideByPadding(in QueryBlock block, int firstKey, int count, float* scores)
    {
        byte* padding = Padding(block.Batch, firstKey);
        for (int key = 0; key < count; key++, scores += block.Lanes)
        {
            if (padding[key] != 0)
                new Span<float>(scores, block.Lanes).Fill(float.NegativeInfinity);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddByKey(in QueryBlock block, int count)
    {
        TVector lowest = TOperations.Broadcast(float.MinValue);
        TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
        float* score = block.Scores;
        for (int key = 0; key < count; key++)
        {
            TVector added = TOperations.Broadcast(block.Mask[key]);
            for (int lane = 0; lane < block.Lanes; lane += TOperations.Width, score += TOperations.Width)
            {
                TVector sum = TOperations.Add(TOperations.Load(score), added);
                TOperations.Store(TOperations.SelectLess(added, lowest, hidden, sum), score);
            }
        }
    }

    // A vector of scores: 2 loads, 1 addition, 1 comparison, 1 selection, 1 store.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddByScore(in QueryBlock block, float* score, int count)
    {
        TVector lowest = TOperations.Broadcast(float.MinValue);
        TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
        float* mask = block.Mask;
        for (nint left = (nint)count * block.Lanes; left > 0; left -= TOperations.Width)
        {
            TVector added = TOperations.Load(mask);
            TVector sum = TOperations.Add(TOperations.Load(score), added);
            TOperations.Store(TOperations.SelectLess(added, lowest, hidden, sum), score);
            mask += TOperations.Width;
            score += TOperations.Width;
        }
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
