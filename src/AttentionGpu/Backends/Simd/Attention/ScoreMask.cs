using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
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
/// Boolean, additive and key padding masks on the host, as one panel of what is added to the scores: -inf hides, whatever the score.
/// </summary>
internal sealed unsafe class ScoreMask<TVector, TOperations>(AttentionProblem problem)
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private static readonly uint _hiddenBits = BitConverter.SingleToUInt32Bits(float.NegativeInfinity);

    /// <summary>Whether there is a mask in memory at all.</summary>
    public bool Exists => problem.Mask.Kind != MaskKind.None || problem.HasKeyPadding;

    /// <summary>Reads the mask of a block of keys into <see cref="QueryBlock.Mask"/>, and says what it does.</summary>
    public MaskEffect Read(in AttentionBuffers buffers, in QueryBlock block, int firstKey, int count)
    {
        if (!Exists)
            return MaskEffect.None;
        bool byKey = problem.Mask.Kind == MaskKind.None || problem.Mask.Query == 0;
        int rows = byKey ? 1 : block.Queries;
        MaskEffect effect = Scan(buffers, block, rows, firstKey, count);
        if (effect is MaskEffect.None or MaskEffect.HidesAll)
            return effect;
        if (byKey)
        {
            ReadRow(buffers, block.Batch, block.Head, block.FirstQuery, firstKey, count, block.Mask);
            return MaskEffect.AddsByKey;
        }

        bool isPlain = problem.Mask is { Kind: MaskKind.Additive, Key: 1 } && !problem.HasKeyPadding;
        float** pointers = stackalloc float*[rows];
        for (int lane = 0; lane < rows; lane++)
        {
            if (isPlain)
            {
                pointers[lane] = buffers.Mask.Pointer<float>() + problem.Mask.Offset(block.Batch, block.Head, block.FirstQuery + lane, firstKey);
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
        long first = problem.Mask.Offset(batch, head, query, firstKey);
        nint stride = (nint)problem.Mask.Key;
        switch (problem.Mask.Kind)
        {
            case MaskKind.Boolean:
                byte* visible = buffers.Mask.Pointer<byte>() + first;
                for (int key = 0; key < count; key++)
                    row[key] = visible[key * stride] != 0 ? 0f : float.NegativeInfinity;
                break;
            case MaskKind.Additive:
                float* bias = buffers.Mask.Pointer<float>() + first;
                for (int key = 0; key < count; key++)
                    row[key] = bias[key * stride];
                break;
            default:
                new Span<float>(row, count).Clear();
                break;
        }

        if (!problem.HasKeyPadding)
            return;
        byte* padding = Padding(buffers, batch, firstKey);
        for (int key = 0; key < count; key++)
        {
            if (padding[key] != 0)
                row[key] = float.NegativeInfinity;
        }
    }

    /// <summary>
    /// Whether a block is all visible or all hidden, for the usual masks whose keys are neighbours; <see cref="MaskEffect.AddsByScore"/> where
    /// it is neither or not looked at. Stops at the first sign that it is neither.
    /// </summary>
    private MaskEffect Scan(in AttentionBuffers buffers, in QueryBlock block, int rows, int firstKey, int count)
    {
        var effect = MaskEffect.None;
        if (problem.HasKeyPadding)
        {
            var padding = new ReadOnlySpan<byte>(Padding(buffers, block.Batch, firstKey), count);
            effect = !padding.ContainsAnyExcept((byte)0) ? MaskEffect.None : padding.Contains((byte)0) ? MaskEffect.AddsByScore : MaskEffect.HidesAll;
        }

        if (effect == MaskEffect.HidesAll || problem.Mask.Kind == MaskKind.None)
            return effect;
        if (effect == MaskEffect.AddsByScore || problem.Mask.Key != 1)
            return MaskEffect.AddsByScore;
        for (int row = 0; row < rows; row++)
        {
            MaskEffect ofRow = ScanRow(buffers, problem.Mask.Offset(block.Batch, block.Head, block.FirstQuery + row, firstKey), count);
            if (ofRow == MaskEffect.AddsByScore || (row > 0 && ofRow != effect))
                return MaskEffect.AddsByScore;
            effect = ofRow;
        }

        return effect;
    }

    private MaskEffect ScanRow(in AttentionBuffers buffers, long first, int count)
    {
        if (problem.Mask.Kind == MaskKind.Boolean)
        {
            var visible = new ReadOnlySpan<byte>(buffers.Mask.Pointer<byte>() + first, count);
            return !visible.Contains((byte)0) ? MaskEffect.None : visible.ContainsAnyExcept((byte)0) ? MaskEffect.AddsByScore : MaskEffect.HidesAll;
        }

        // As bits: the search is vectorised for whole numbers. A negative zero counts as something, which costs time only.
        ReadOnlySpan<uint> bias = MemoryMarshal.Cast<float, uint>(new ReadOnlySpan<float>(buffers.Mask.Pointer<float>() + first, count));
        return !bias.ContainsAnyExcept(0u) ? MaskEffect.None : bias.ContainsAnyExcept(_hiddenBits) ? MaskEffect.AddsByScore : MaskEffect.HidesAll;
    }

    private byte* Padding(in AttentionBuffers buffers, int batch, int firstKey) =>
        buffers.KeyPadding.Pointer<byte>() + (long)batch * problem.KeyLength + firstKey;
}
