namespace AttentionGpu.Kernels.Tiled.Tiles;

/// <summary>256 threads: 128 rows by 64 columns a group. Large matrix products.</summary>
public struct Tile16x16 : ITile
{
    /// <inheritdoc/>
    public static int RowThreads => 16;

    /// <inheritdoc/>
    public static int ColumnThreads => 16;

    /// <inheritdoc/>
    public static int Depth => 16;
}

/// <summary>128 threads: 64 rows by 64 columns a group. Attention.</summary>
public struct Tile8x16 : ITile
{
    /// <inheritdoc/>
    public static int RowThreads => 8;

    /// <inheritdoc/>
    public static int ColumnThreads => 16;

    /// <inheritdoc/>
    public static int Depth => 16;
}

/// <summary>64 threads: 64 rows by 32 columns a group. Small matrix products and narrow heads.</summary>
public struct Tile8x8 : ITile
{
    /// <inheritdoc/>
    public static int RowThreads => 8;

    /// <inheritdoc/>
    public static int ColumnThreads => 8;

    /// <inheritdoc/>
    public static int Depth => 16;
}

/// <summary>
/// 4 threads: 16 rows by 8 columns a group. For emulated devices, where a thread is an OS thread and a barrier costs microseconds.
/// </summary>
public struct Tile2x2 : ITile
{
    /// <inheritdoc/>
    public static int RowThreads => 2;

    /// <inheritdoc/>
    public static int ColumnThreads => 2;

    /// <inheritdoc/>
    public static int Depth => 8;
}

/// <summary>1 thread: 8 rows by 4 columns for each group of a fragment. Processors, whose vectors hold a thread's columns.</summary>
public struct Tile1x1 : ITile
{
    /// <inheritdoc/>
    public static int RowThreads => 1;

    /// <inheritdoc/>
    public static int ColumnThreads => 1;

    /// <inheritdoc/>
    public static int Depth => 1;
}

/// <summary>128 threads, a key each. Decoding.</summary>
public struct Tile1x128 : ITile
{
    /// <inheritdoc/>
    public static int RowThreads => 1;

    /// <inheritdoc/>
    public static int ColumnThreads => 128;

    /// <inheritdoc/>
    public static int Depth => 16;
}

/// <summary>4 threads, a key each. Decoding on emulated devices.</summary>
public struct Tile1x4 : ITile
{
    /// <inheritdoc/>
    public static int RowThreads => 1;

    /// <inheritdoc/>
    public static int ColumnThreads => 4;

    /// <inheritdoc/>
    public static int Depth => 8;
}
