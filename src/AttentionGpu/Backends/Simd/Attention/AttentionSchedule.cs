using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// How the threads share a call of attention: by blocks of queries, or by rows where there are few queries to a key/value head. Where that
/// is too little work to share, the keys are split too, into parts whose states are merged.
/// </summary>
/// <remarks>
/// A batch-invariant schedule makes every choice that shows in the bits by a sequence's own lengths: its path, and parts of a fixed size
/// where it has few queries. A call may then have sequences of both paths, and a schedule for each.
/// </remarks>
internal readonly struct AttentionSchedule<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // So many at least that no thread waits long for the last item; more where each still has some blocks of queries for its keys.
    private const int ItemsPerThread = 4;
    private const int FineItemsPerThread = 16;
    private const int MinBlocksPerFineItem = 4;
    private const int MinPartKeys = 256;

    // Of a batch-invariant call: few enough for many threads, and so many that a part's state costs little.
    private const int FixedPartKeys = 1024;

    // A block of queries costs its lanes whether there are queries in them or not. With 64 lanes it is as fast as queries one by one from
    // 13 of them on, and up to twice as fast with 16; with 16 lanes 4 queries take half the time of a block.
    private const int FewQueriesShare = 4;
    private const int MostQueriesApart = 12;

    // Their queries and outputs share L2 with a chunk of keys and values.
    private const int MaxBlocksAtOnce = 4;

    /// <param name="signature">The signature of the plan.</param>
    /// <param name="extent">The sizes of the call; not empty.</param>
    /// <param name="threads">Most threads of a call.</param>
    /// <param name="isFewQueries">Whether rows are attended to one by one.</param>
    public AttentionSchedule(in AttentionSignature signature, in AttentionExtent extent, int threads, bool isFewQueries)
    {
        Threads = threads;
        IsFewQueries = isFewQueries;
        IsBatchInvariant = signature.BatchInvariant;
        QueryLength = isFewQueries ? Math.Min(extent.QueryLength, MostFewQueries) : extent.QueryLength;
        BlocksAtOnce = 1;
        long wantedItems = threads == 1 ? 1 : (long)threads * ItemsPerThread;
        if (IsFewQueries)
        {
            ItemsPerHead = FewQueriesKernel<TVector, TOperations>.RowBlocks(signature, QueryLength);
            Heads = (long)extent.Batch * extent.KeyValueHeads;
        }
        else
        {
            int blocks = TileCount.DivideUp(extent.QueryLength, Lanes);
            Heads = (long)extent.Batch * extent.Heads;
            long items = TileCount.DivideUp(wantedItems, Heads);
            long fineItems = TileCount.DivideUp((long)threads * FineItemsPerThread, Heads);
            items = Math.Clamp(Math.Max(items, Math.Min(fineItems, blocks / MinBlocksPerFineItem)), 1, blocks);
            BlocksPerItem = (int)TileCount.DivideUp(blocks, items);
            ItemsPerHead = TileCount.DivideUp(blocks, BlocksPerItem);
            if (extent.KeyLength > QueryBlockKernel<TVector, TOperations>.ChunkKeys(signature))
                BlocksAtOnce = Math.Min(BlocksPerItem, MaxBlocksAtOnce);
        }

        long wantedParts = TileCount.DivideUp(wantedItems, Heads * ItemsPerHead);
        KeyParts = !IsBatchInvariant ? (int)Math.Clamp(Math.Min(wantedParts, extent.KeyLength / MinPartKeys), 1, wantedParts)
            : isFewQueries ? Math.Max(1, TileCount.DivideUp(extent.KeyLength, FixedPartKeys))
            : 1;
        Operations = 2.0 * extent.ScoreCount * (signature.HeadSize + signature.ValueHeadSize);
        PreciseOffset = ThreadWorkspace.RoundUp(
            IsFewQueries
                ? FewQueriesKernel<TVector, TOperations>.WorkspaceSize(signature, extent)
                : QueryBlockKernel<TVector, TOperations>.WorkspaceSize(signature, extent, BlocksAtOnce));
        Workspace = new ThreadWorkspace(
            KeepsStates ? SplitStates.Size(signature, extent, QueryLength, KeyParts) : 0,
            ParallelWork.Workers(Items, threads, Operations),
            PreciseOffset + PreciseRow<TVector, TOperations>.Size(signature));
    }

    /// <summary>Most threads of a call.</summary>
    public int Threads { get; }

    /// <summary>Whether rows are attended to one by one.</summary>
    public bool IsFewQueries { get; }

    /// <summary>Whether a sequence's results depend on its own lengths only.</summary>
    public bool IsBatchInvariant { get; }

    /// <summary>Queries of the longest sequence that it may have.</summary>
    public int QueryLength { get; }

    /// <summary>Heads that items are of: key/value heads where there are few queries, else query heads; of all batch entries.</summary>
    public long Heads { get; }

    /// <summary>Items of a head for each part of its keys.</summary>
    public int ItemsPerHead { get; }

    /// <summary>Blocks of queries of an item.</summary>
    public int BlocksPerItem { get; }

    /// <summary>How many blocks of queries attend to a chunk of keys in turn.</summary>
    public int BlocksAtOnce { get; }

    /// <summary>Parts that the keys are split into; their states are merged where there are more than one.</summary>
    public int KeyParts { get; }

    /// <summary>
    /// Whether each part's states are kept and merged. Of a batch-invariant call a single part's are too: it is one of several in a batch.
    /// </summary>
    public bool KeepsStates => KeyParts > 1 || (IsBatchInvariant && IsFewQueries);

    /// <summary>Items in all.</summary>
    public long Items => Heads * ItemsPerHead * KeyParts;

    /// <summary>Operations of all items.</summary>
    public double Operations { get; }

    /// <summary>Where in a thread's memory that of rows which are computed again begins: after the blocks'.</summary>
    public long PreciseOffset { get; }

    /// <summary>The states of the parts, and a thread's blocks.</summary>
    public ThreadWorkspace Workspace { get; }

    private static int MostFewQueries => Math.Min(Lanes / FewQueriesShare, MostQueriesApart);

    /// <summary>Whether rows of a sequence are attended to one by one, by its queries.</summary>
    public static bool AreFew(int queries) => queries <= MostFewQueries;

    /// <summary>
    /// Whether a sequence is one of the schedule's: all are, but where a batch-invariant call has sequences of both paths.
    /// </summary>
    public bool Has(in Sequence sequence) => !IsBatchInvariant || AreFew(sequence.QueryLength) == IsFewQueries;

    /// <summary>The keys of a part, of those from one to before another.</summary>
    public (int First, int End) Part(int part, int first, int end)
    {
        if (IsBatchInvariant)
        {
            long start = first + (long)part * FixedPartKeys;
            return ((int)Math.Min(start, end), part == KeyParts - 1 ? end : (int)Math.Min(start + FixedPartKeys, end));
        }

        long count = Math.Max(0, end - first);
        return (first + (int)(count * part / KeyParts), first + (int)(count * (part + 1) / KeyParts));
    }

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;
}
