using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Fragments;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Tiles;

/// <summary>A thread's place in a tile, and the tile's derived constants.</summary>
public readonly struct ThreadPosition<TTile>
    where TTile : struct, ITile
{
    /// <summary>The thread's place down the tile.</summary>
    public readonly int Row;

    /// <summary>The thread's place across the tile.</summary>
    public readonly int Column;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ThreadPosition(int thread)
    {
        Row = thread / TTile.ColumnThreads;
        Column = thread & (TTile.ColumnThreads - 1);
    }

    /// <summary>The position of the calling thread.</summary>
    public static ThreadPosition<TTile> Current
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Group.IdxX);
    }

    /// <summary>Threads in the group.</summary>
    public static int Threads => TTile.RowThreads * TTile.ColumnThreads;

    /// <summary>Rows of the tile.</summary>
    public static int TileRows => 8 * TTile.RowThreads;

    /// <summary>
    /// 16-byte elements in one line of a row-contiguous tile. One is padding: a transposing store then goes to different banks.
    /// </summary>
    public static int RowPitch => 2 * TTile.RowThreads + 1;

    /// <summary>The row of the tile that the thread's row <paramref name="row"/> (0 to 7) is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int TileRow(int row) => 4 * Row + (row < 4 ? row : 4 * TTile.RowThreads + row - 4);

    /// <summary>The eight values of one line of a row-contiguous tile that belong to the thread: 2 loads of 16 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Rows8 LoadRows(ArrayView<Float4> tile, int line) => Rows8.Load(tile, line * RowPitch + Row, TTile.RowThreads);
}
