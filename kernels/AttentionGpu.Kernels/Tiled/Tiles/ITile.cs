namespace AttentionGpu.Kernels.Tiled.Tiles;

/// <summary>
/// The shape of a thread group, as compile-time constants. A thread owns eight rows and one or more groups of four columns, so a tile is
/// <c>8 * RowThreads</c> rows high and <c>4 * ColumnThreads * groups</c> columns wide. All three are powers of two.
/// </summary>
public interface ITile
{
    /// <summary>Threads down the tile.</summary>
    static abstract int RowThreads { get; }

    /// <summary>Threads across the tile; they are neighbours in the group.</summary>
    static abstract int ColumnThreads { get; }

    /// <summary>How many steps of the inner dimension are held in shared memory at once; it divides <c>4 * ColumnThreads</c>.</summary>
    static abstract int Depth { get; }
}
