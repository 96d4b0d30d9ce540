using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// How the threads share the rows of few queries: an item is a part of the keys of a key/value head, a fixed number whatever the batch and
/// the device, so that a sequence's result depends on its own lengths only. A row block's parts are merged in the order of their keys by
/// the thread that ends the last. Items are the smaller the shorter a sequence is; no thread waits longer than one takes.
/// </summary>
internal readonly struct FewQueriesSchedule<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // A block of queries costs its lanes, or half of them, whether there are queries in them or not. With vectors of 512 bits it takes as
    // long as 20 queries one by one, with those of 256 bits as long as 7.
    private const int FewQueriesShare = 4;

    // States of parts that are kept at once: 16 MiB, and as many as a head has.
    private const long StateFloats = 4 << 20;

    // A number of 64 bits.
    private const int FloatsOfLong = 2;

    /// <param name="signature">The signature of the plan.</param>
    /// <param name="extent">The sizes of the call; not empty.</param>
    /// <param name="threads">Most threads of a call.</param>
    public FewQueriesSchedule(in AttentionSignature signature, in AttentionExtent extent, int threads)
    {
        int queries = Math.Min(extent.QueryLength, MostFewQueries);
        int rows = signature.GroupSize * queries;
        int rowBlocks = FewQueriesKernel<TVector, TOperations>.RowBlocks(rows);
        int parts = Parts(extent.KeyLength);
        StateSize = parts == 1 ? 0 : (long)SplitStates.RowSize(signature) * Math.Min(rows, FewQueriesKernel<TVector, TOperations>.MaxRows);
        long headItems = (long)rowBlocks * parts;
        long items = headItems * extent.KeyValueHeads * extent.Batch;
        RoundItems = parts == 1 ? items : Math.Min(items, Math.Max(headItems, StateFloats / StateSize));
        Operations = 2.0 * extent.Batch * extent.Heads * queries * extent.KeyLength * (signature.HeadSize + signature.ValueHeadSize);
        StartsSize = ThreadWorkspace.RoundUp((extent.Batch + 1L) * FloatsOfLong);
        CountersSize = parts == 1 ? 0 : ThreadWorkspace.RoundUp(RoundItems);
        MergeOffset = ThreadWorkspace.RoundUp(FewQueriesKernel<TVector, TOperations>.WorkspaceSize(signature));
        PreciseOffset = MergeOffset + ThreadWorkspace.RoundUp(MergedRows<TVector, TOperations>.RoomSize(signature.ValueHeadSize));
        Workspace = new ThreadWorkspace(
            StartsSize + CountersSize + StateSize * (parts == 1 ? 0 : RoundItems),
            ParallelWork.Workers(items, threads, Operations),
            PreciseOffset + PreciseRow<TVector, TOperations>.Size(signature));
    }

    /// <summary>Items whose states there is memory for; a head's are among them together.</summary>
    public long RoundItems { get; }

    /// <summary>Floats of the states of an item; 0 where no sequence has more than one part.</summary>
    public long StateSize { get; }

    /// <summary>Operations of all items.</summary>
    public double Operations { get; }

    /// <summary>Floats of the first item of each batch entry, at the start of the shared memory.</summary>
    public long StartsSize { get; }

    /// <summary>Floats of the counters of parts, which follow; the states are behind them.</summary>
    public long CountersSize { get; }

    /// <summary>Where in a thread's memory the room for a merged row begins.</summary>
    public long MergeOffset { get; }

    /// <summary>Where in a thread's memory that of rows which are computed again begins.</summary>
    public long PreciseOffset { get; }

    /// <summary>What all threads share, and a thread's row block.</summary>
    public ThreadWorkspace Workspace { get; }

    private static int MostFewQueries => RegisterTile<TVector, TOperations>.Lanes / FewQueriesShare;

    /// <summary>Whether rows of a sequence are attended to one by one, by its queries.</summary>
    public static bool AreFew(int queries) => queries <= MostFewQueries;

    /// <summary>The parts of some keys; at least 1.</summary>
    public static int Parts(int keys) => Math.Max(1, TileCount.DivideUp(keys, FewQueriesKernel<TVector, TOperations>.PartKeys));
}
