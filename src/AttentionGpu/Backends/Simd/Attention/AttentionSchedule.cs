using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// How the threads share the blocks of queries of a call of attention. Where that is too little work to share, the keys are split too, into
/// parts whose states are merged. Sequences with few queries are <see cref="FewQueriesSchedule{TVector, TOperations}"/>'s.
/// </summary>
/// <remarks>A batch-invariant schedule splits no keys: it makes every choice that shows in the bits by a sequence alone.</remarks>
internal readonly struct AttentionSchedule<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // So many at least that no thread waits long for the last item; more where each still has some blocks of queries for its keys.
    private const int ItemsPerThread = 4;
    private const int FineItemsPerThread = 16;
    private const int MinBlocksPerFineItem = 4;
    private const int MinPartKeys = 256;

    // Their queries and outputs share L2 with a chunk of keys and values.
    private const int MaxBlocksAtOnce = 4;

    private readonly bool _mayHaveFew;

    /// <param name="signature">The signature of the plan.</param>
    /// <param name="extent">The sizes of the call; not empty.</param>
    /// <param name="threads">Most threads of a call.</param>
    public AttentionSchedule(in AttentionSignature signature, in AttentionExtent extent, int threads)
    {
        Threads = threads;
        IsBatchInvariant = signature.BatchInvariant;
        _mayHaveFew = signature.HasSequences;
        BlocksAtOnce = 1;
        long wantedItems = threads == 1 ? 1 : (long)threads * ItemsPerThread;
        int blocks = TileCount.DivideUp(extent.QueryLength, Lanes);
        Heads = (long)extent.Batch * extent.Heads;
        long items = TileCount.DivideUp(wantedItems, Heads);
        long fineItems = TileCount.DivideUp((long)threads * FineItemsPerThread, Heads);
        items = Math.Clamp(Math.Max(items, Math.Min(fineItems, blocks / MinBlocksPerFineItem)), 1, blocks);
        BlocksPerItem = (int)TileCount.DivideUp(blocks, items);
        ItemsPerHead = TileCount.DivideUp(blocks, BlocksPerItem);
        if (extent.KeyLength > QueryBlockKernel<TVector, TOperations>.ChunkKeys(signature))
            BlocksAtOnce = Math.Min(BlocksPerItem, MaxBlocksAtOnce);
        long wantedParts = TileCount.DivideUp(wantedItems, Heads * ItemsPerHead);
        KeyParts = IsBatchInvariant ? 1 : (int)Math.Clamp(Math.Min(wantedParts, extent.KeyLength / MinPartKeys), 1, wantedParts);
        Operations = 2.0 * extent.ScoreCount * (signature.HeadSize + signature.ValueHeadSize);
        Rows = Heads * extent.QueryLength;
        PreciseOffset = ThreadWorkspace.RoundUp(QueryBlockKernel<TVector, TOperations>.WorkspaceSize(signature, extent, BlocksAtOnce));
        Workspace = new ThreadWorkspace(
            KeyParts == 1 ? 0 : Rows * SplitStates.RowSize(signature) * KeyParts,
            ParallelWork.Workers(Items, threads, Operations),
            PreciseOffset + PreciseRow<TVector, TOperations>.Size(signature));
    }

    /// <summary>Most threads of a call.</summary>
    public int Threads { get; }

    /// <summary>Whether a sequence's results depend on its own lengths only.</summary>
    public bool IsBatchInvariant { get; }

    /// <summary>Query heads of all batch entries.</summary>
    public long Heads { get; }

    /// <summary>Items of a head for each part of its keys.</summary>
    public int ItemsPerHead { get; }

    /// <summary>Blocks of queries of an item.</summary>
    public int BlocksPerItem { get; }

    /// <summary>How many blocks of queries attend to a chunk of keys in turn.</summary>
    public int BlocksAtOnce { get; }

    /// <summary>Parts that the keys are split into; their states are merged where there are more than one.</summary>
    public int KeyParts { get; }

    /// <summary>Items in all.</summary>
    public long Items => Heads * ItemsPerHead * KeyParts;

    /// <summary>Queries of all heads.</summary>
    public long Rows { get; }

    /// <summary>Operations of all items.</summary>
    public double Operations { get; }

    /// <summary>Where in a thread's memory that of rows which are computed again begins: after the blocks'.</summary>
    public long PreciseOffset { get; }

    /// <summary>The states of the parts, and a thread's blocks.</summary>
    public ThreadWorkspace Workspace { get; }

    /// <summary>Whether a sequence is one of the schedule's.</summary>
    public bool Has(in Sequence sequence) =>
        !_mayHaveFew || !FewQueriesSchedule<TVector, TOperations>.AreFew(sequence.QueryLength);

    /// <summary>The keys of a part, of those from one to before another.</summary>
    public (int First, int End) Part(int part, int first, int end)
    {
        long count = Math.Max(0, end - first);
        return (first + (int)(count * part / KeyParts), first + (int)(count * (part + 1) / KeyParts));
    }

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;
}
