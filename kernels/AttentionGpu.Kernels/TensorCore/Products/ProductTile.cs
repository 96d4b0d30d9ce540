using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.TensorCore.Tiles;

namespace AttentionGpu.Kernels.TensorCore.Products;

/// <summary>What a group computes of a matrix product, and how its warps share it.</summary>
/// <remarks>
/// Every tile adds up the depth in the same order, 16 by 16: a row has the same bits in all of them. The memory that a stage takes is
/// copied while <c>Stages - 2</c> others are under way and one is multiplied.
/// </remarks>
/// <param name="Rows">Rows of the result.</param>
/// <param name="Columns">Columns of the result.</param>
/// <param name="WarpRows">Rows of a warp, a multiple of 16.</param>
/// <param name="WarpColumns">Columns of a warp, a multiple of 16.</param>
/// <param name="Depth">Elements of the depth in a stage, a multiple of 16.</param>
/// <param name="Stages">Stages in shared memory.</param>
public sealed record ProductTile(int Rows, int Columns, int WarpRows, int WarpColumns, int Depth, int Stages)
{
    /// <summary>Rows of one product of a warp.</summary>
    public const int StepRows = 16;

    /// <summary>Columns of one product of a warp.</summary>
    public const int StepColumns = 8;

    /// <summary>Elements of the depth that one product of a warp adds up.</summary>
    public const int StepDepth = 16;

    /// <summary>
    /// For a few rows, where memory is the bound: many small groups, so that all multiprocessors read the right operand, with 20 KB under
    /// way in each.
    /// </summary>
    public static ProductTile Small { get; } = new(16, 32, 16, 16, 64, 6);

    /// <summary>For up to 64 rows, and for results that are too small for many of the large tiles.</summary>
    public static ProductTile Medium { get; } = new(64, 64, 32, 32, 64, 3);

    /// <summary>
    /// For all else. A warp reads 8 matrices for 32 products: shared memory gives 128 bytes a cycle and multiprocessor, and would be the
    /// bound of smaller warps.
    /// </summary>
    public static ProductTile Large { get; } = new(128, 128, 64, 64, 32, 3);

    /// <summary>All of them, from the smallest.</summary>
    public static IReadOnlyList<ProductTile> All { get; } = [Small, Medium, Large];

    /// <summary>Warps next to each other.</summary>
    public int WarpsAcross => Columns / WarpColumns;

    /// <summary>Warps of a group.</summary>
    public int Warps => Rows / WarpRows * WarpsAcross;

    /// <summary>Threads of a group.</summary>
    public int Threads => Warps * PtxText.WarpSize;

    /// <summary>A stage: rows of the left operand, and below them those of the right one.</summary>
    public SharedTile Stage => new(Rows + Columns, Depth) { IsDense = true };

    /// <summary>The result, which takes the place of the stages at the end.</summary>
    public SharedTile Result => new(Rows, Columns);

    /// <summary>Shared memory of a group.</summary>
    public int SharedBytes => Math.Max(Stages * Stage.Bytes, Result.Bytes);

    /// <summary>The tile for a result of this size.</summary>
    /// <param name="rows">Rows of the result.</param>
    /// <param name="columns">Columns of the result.</param>
    /// <param name="busyGroups">Groups that keep the whole device busy.</param>
    public static ProductTile For(int rows, int columns, int busyGroups) =>
        rows <= Small.Rows ? Small
        : rows <= Medium.Rows || Large.GroupCount(rows, columns) < busyGroups ? Medium
        : Large;

    /// <summary>The number of groups to launch.</summary>
    public long GroupCount(int rows, int columns) => TileCount.DivideUp((long)rows, Rows) * TileCount.DivideUp((long)columns, Columns);
}
