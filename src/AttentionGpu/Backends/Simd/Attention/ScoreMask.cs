using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
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
/// Boolean, additive, document and key padding masks on the host, as one panel of what is added to the scores: -inf hides, whatever the score.
/// </summary>
internal sealed unsafe class ScoreMask<TVector, TOperations>(AttentionProblem problem)
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private static readonly uint _hiddenBits = BitConverter.SingleToUInt32Bits(float.NegativeInfinity);

    /// <summary>Whether there is a mask in memory at all.</summary>
    public bool Exists { get; } = problem.Mask is not null || problem.Bias is not null || problem.HasDocuments || problem.HasKeyPadding;

    /// <summary>Reads the mask of a block of keys into <see cref="QueryBlock.Mask"/>, and says what it does.</summary>
    public MaskEffect Read(in AttentionBuffers buffers, in QueryBlock block, int firstKey, int count)
    {
        if (!Exists)
            return MaskEffect.None;
        bool byKey = problem.Mask is null or { Query: 0 } && problem.Bias is null or { Query: 0 } && !problem.HasDocuments;
        int rows = byKey ? 1 : block.Queries;
        MaskEffect effect = Scan(buffers, block, rows, firstKey, count);
        if (effect is MaskEffect.None or MaskEffect.HidesAll)
            return effect;
        if (byKey)
        {
            ReadRow(buffers, block.Batch, block.Head, block.FirstQuery, firstKey, count, block.Mask);
            return MaskEffect.AddsByKey;
        }

        bool isPlain = problem is { Bias.Key: 1, Mask: null, HasDocuments: false, HasKeyPadding: false };
        float** pointers = stackalloc float*[rows];
        for (int lane = 0; lane < rows; lane++)
        {
            if (isPlain)
            {
                pointers[lane] = buffers.Bias.Pointer<float>() + problem.Bias!.Value.Offset(block.Batch, block.Head, block.FirstQuery + lane, firstKey);
                continue;
            }

            pointers[lane] = block.Rows + (nint)lane * count;
            ReadRow(buffers, block.Batch, block.Head, block.FirstQuery + lane, firstKey, count, pointers[lane]);
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
    public void ReadRow(in AttentionBuffers buffers, int batch, int head, int query, int firstKey, int count, float* row)
    {
        if (problem.Bias is { } layout)
        {
            float* bias = buffers.Bias.Pointer<float>() + layout.Offset(batch, head, query, firstKey);
            for (int key = 0; key < count; key++)
                row[key] = bias[key * layout.Key];
        }
        else
        {
            new Span<float>(row, count).Clear();
        }

        if (problem.Mask is { } mask)
        {
            byte* visible = buffers.Mask.Pointer<byte>() + mask.Offset(batch, head, query, firstKey);
            int key = mask.Key == 1 ? HideWhereZero(visible, row, count) : 0;
            for (; key < count; key++)
                row[key] = visible[key * mask.Key] != 0 ? row[key] : float.NegativeInfinity;
        }

        if (problem.HasDocuments)
        {
            int own = *QueryDocuments(buffers, batch, query);
            int* numbers = KeyDocuments(buffers, batch, firstKey);
            for (int key = 0; key < count; key++)
                row[key] = numbers[key] == own ? row[key] : float.NegativeInfinity;
        }

        if (!problem.HasKeyPadding)
            return;
        byte* padding = Padding(buffers, batch, firstKey);
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
    /// Whether a block is all visible or all hidden, for the usual masks whose keys are neighbours; <see cref="MaskEffect.AddsByScore"/> where
    /// it is neither or not looked at. Stops at the first sign that it is neither, but any mask can hide it all.
    /// </summary>
    private MaskEffect Scan(in AttentionBuffers buffers, in QueryBlock block, int rows, int firstKey, int count)
    {
        MaskEffect effect = ScanPadding(buffers, block, firstKey, count);
        if (effect != MaskEffect.HidesAll)
            effect = Join(effect, ScanDocuments(buffers, block, firstKey, count));
        if (effect != MaskEffect.HidesAll)
            effect = Join(effect, ScanRows(buffers, block, rows, firstKey, count, problem.Mask, isBoolean: true));
        if (effect != MaskEffect.HidesAll)
            effect = Join(effect, ScanRows(buffers, block, rows, firstKey, count, problem.Bias, isBoolean: false));
        return effect;
    }

    private static MaskEffect Join(MaskEffect left, MaskEffect right) =>
        left == MaskEffect.None || right == MaskEffect.HidesAll ? right : left;

    private MaskEffect ScanPadding(in AttentionBuffers buffers, in QueryBlock block, int firstKey, int count)
    {
        if (!problem.HasKeyPadding)
            return MaskEffect.None;
        var padding = new ReadOnlySpan<byte>(Padding(buffers, block.Batch, firstKey), count);
        return !padding.ContainsAnyExcept((byte)0) ? MaskEffect.None : padding.Contains((byte)0) ? MaskEffect.AddsByScore : MaskEffect.HidesAll;
    }

    private MaskEffect ScanDocuments(in AttentionBuffers buffers, in QueryBlock block, int firstKey, int count)
    {
        if (!problem.HasDocuments)
            return MaskEffect.None;
        var queries = new ReadOnlySpan<int>(QueryDocuments(buffers, block.Batch, block.FirstQuery), block.Queries);
        var keys = new ReadOnlySpan<int>(KeyDocuments(buffers, block.Batch, firstKey), count);
        (int leastQuery, int mostQuery) = (TensorPrimitives.Min(queries), TensorPrimitives.Max(queries));
        (int leastKey, int mostKey) = (TensorPrimitives.Min(keys), TensorPrimitives.Max(keys));
        if (leastQuery > mostKey || mostQuery < leastKey)
            return MaskEffect.HidesAll;
        return leastQuery == mostQuery && leastKey == mostKey ? MaskEffect.None : MaskEffect.AddsByScore;
    }

    private static MaskEffect ScanRows(
        in AttentionBuffers buffers, in QueryBlock block, int rows, int firstKey, int count, MaskLayout? layout, bool isBoolean)
    {
        if (layout is not { } mask)
            return MaskEffect.None;
        if (mask.Key != 1)
            return MaskEffect.AddsByScore;
        var effect = MaskEffect.None;
        for (int row = 0; row < rows; row++)
        {
            long first = mask.Offset(block.Batch, block.Head, block.FirstQuery + row, firstKey);
            MaskEffect ofRow = isBoolean ? ScanBoolean(buffers, first, count) : ScanBias(buffers, first, count);
            if (ofRow == MaskEffect.AddsByScore || (row > 0 && ofRow != effect))
                return MaskEffect.AddsByScore;
            effect = ofRow;
        }

        return effect;
    }

    private static MaskEffect ScanBoolean(in AttentionBuffers buffers, long first, int count)
    {
        var visible = new ReadOnlySpan<byte>(buffers.Mask.Pointer<byte>() + first, count);
        return !visible.Contains((byte)0) ? MaskEffect.None : visible.ContainsAnyExcept((byte)0) ? MaskEffect.AddsByScore : MaskEffect.HidesAll;
    }

    // As bits: the search is vectorised for whole numbers. A negative zero counts as something, which costs time only.
    private static MaskEffect ScanBias(in AttentionBuffers buffers, long first, int count)
    {
        ReadOnlySpan<uint> bias = MemoryMarshal.Cast<float, uint>(new ReadOnlySpan<float>(buffers.Bias.Pointer<float>() + first, count));
        return !bias.ContainsAnyExcept(0u) ? MaskEffect.None : bias.ContainsAnyExcept(_hiddenBits) ? MaskEffect.AddsByScore : MaskEffect.HidesAll;
    }

    private int* QueryDocuments(in AttentionBuffers buffers, int batch, int query) =>
        buffers.QueryDocuments.Pointer<int>() + (long)batch * problem.QueryLength + query;

    private int* KeyDocuments(in AttentionBuffers buffers, int batch, int key) =>
        buffers.KeyDocuments.Pointer<int>() + (long)batch * problem.KeyLength + key;

    private byte* Padding(in AttentionBuffers buffers, int batch, int firstKey) =>
        buffers.KeyPadding.Pointer<byte>() + (long)batch * problem.KeyLength + firstKey;
}
