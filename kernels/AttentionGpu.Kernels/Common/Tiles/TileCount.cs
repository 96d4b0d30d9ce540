namespace AttentionGpu.Kernels.Common.Tiles;

/// <summary>Counts tiles.</summary>
public static class TileCount
{
    /// <summary>The tiles of <paramref name="tile"/> rows or columns that cover <paramref name="length"/>.</summary>
    public static int DivideUp(int length, int tile) => (length + tile - 1) / tile;

    /// <summary>The tiles of <paramref name="tile"/> rows or columns that cover <paramref name="length"/>.</summary>
    public static long DivideUp(long length, long tile) => (length + tile - 1) / tile;
}
