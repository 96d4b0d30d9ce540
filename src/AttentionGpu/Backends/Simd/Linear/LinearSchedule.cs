using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Linear;

/// <summary>
/// How the threads share a call of a linear layer: blocks of rows times panels of columns. Memory that all share comes first in the
/// workspace: the weight in panels where it is not panelled and there are several blocks of rows, then 16-bit inputs and biases as floats.
/// </summary>
internal readonly struct LinearSchedule<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    /// <summary>Most rows of a block.</summary>
    internal const int MaxRows = 252;

    private const int MinRows = 48;
    private const int ItemsPerThread = 4;

    // Rows of the tallest tile: a block of rows is a multiple.
    private const int TileRows = 6;

    // So few rows are done with a converted block before it leaves L1. A batch-invariant product has the same blocks for all rows.
    private const int MaxRowsInLevel1 = 2 * TileRows;
    private const int Level1Floats = 4 << 10;

    /// <param name="signature">The signature of the plan.</param>
    /// <param name="extent">The sizes of the call; not empty.</param>
    /// <param name="threads">Most threads of a call.</param>
    public LinearSchedule(in LinearSignature signature, in LinearExtent extent, int threads)
    {
        // Half of L2 for a block of rows.
        Panels = TileCount.DivideUp(signature.Columns, Lanes);
        int rows = Math.Clamp(Caches.Level2 / 2 / (Math.Max(1, signature.Depth) * sizeof(float)), MinRows, MaxRows);
        int blocks = TileCount.DivideUp(extent.Rows, rows);
        int wantedBlocks = TileCount.DivideUp(threads * ItemsPerThread, Panels);
        if (threads > 1 && blocks < wantedBlocks)
            blocks = Math.Clamp(extent.Rows / MinRows, blocks, wantedBlocks);
        BlockRows = TileCount.DivideUp(TileCount.DivideUp(extent.Rows, blocks), TileRows) * TileRows;
        RowBlocks = TileCount.DivideUp(extent.Rows, BlockRows);
        PacksFirst = !signature.IsWeightPanelled && RowBlocks > 1;

        bool converts = signature.Element != ElementType.Float32;
        bool staysInLevel1 = converts && !PacksFirst && !signature.BatchInvariant && extent.Rows <= MaxRowsInLevel1;
        int blockDepth = staysInLevel1 && signature.IsWeightPanelled ? Math.Min(BlockDepth, Level1Floats / Lanes) : BlockDepth;
        DepthParts = Math.Max(1, TileCount.DivideUp(signature.Depth, blockDepth));
        SumsStart = ThreadWorkspace.RoundUp((long)blockDepth * Lanes);
        RowsStart = SumsStart + ThreadWorkspace.RoundUp((long)BlockRows * Lanes);
        InputStart = PacksFirst ? ThreadWorkspace.RoundUp((long)Panels * Lanes * signature.Depth) : 0;
        BiasStart = InputStart + (converts ? ThreadWorkspace.RoundUp((long)extent.Rows * signature.Depth) : 0);
        Operations = 2.0 * extent.Rows * signature.Columns * signature.Depth;
        Workspace = new ThreadWorkspace(
            BiasStart + (converts && signature.HasBias ? signature.Columns : 0),
            ParallelWork.Workers(Items, threads, Operations),
            RowsStart + (converts && !signature.IsWeightPanelled ? (long)WeightPanels.RowsAtOnce * blockDepth : 0));
    }

    /// <summary>
    /// The depth of a block of the weight, an eighth of L2: every tile reads it from there. A step of 24 multiply-adds needs four of its
    /// vectors.
    /// </summary>
    public static int BlockDepth { get; } = Math.Max(1, Caches.Level2 / 8 / (Lanes * sizeof(float)));

    /// <summary>Panels of columns.</summary>
    public int Panels { get; }

    /// <summary>Rows of a block.</summary>
    public int BlockRows { get; }

    /// <summary>Blocks of rows.</summary>
    public int RowBlocks { get; }

    /// <summary>Blocks of depth.</summary>
    public int DepthParts { get; }

    /// <summary>Whether the weight is put in panels before the product.</summary>
    public bool PacksFirst { get; }

    /// <summary>Where 16-bit inputs are as floats, in the shared memory.</summary>
    public long InputStart { get; }

    /// <summary>Where a 16-bit bias is as floats, in the shared memory.</summary>
    public long BiasStart { get; }

    /// <summary>Where the sums of a block are, in a thread's memory, behind a block of the weight.</summary>
    public long SumsStart { get; }

    /// <summary>Where rows of the weight are converted, in a thread's memory.</summary>
    public long RowsStart { get; }

    /// <summary>Items of the product.</summary>
    public long Items => (long)RowBlocks * Panels;

    /// <summary>Operations of the product.</summary>
    public double Operations { get; }

    /// <summary>What a call takes beside its buffers.</summary>
    public ThreadWorkspace Workspace { get; }

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;
}
