using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Rows;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Tiles;

/// <summary>Brings part of a matrix into shared memory, with zeros where the matrix ends.</summary>
public static class PanelLoader
{
    /// <summary>
    /// Loads <paramref name="panelRows"/> rows by <c>TTile.Depth</c> columns, transposed: line d of the panel holds column d of all rows.
    /// One load, a conversion where it is not a float, and one 4-byte store an element; neighbouring threads read neighbouring addresses.
    /// </summary>
    /// <param name="panel">The shared memory to fill.</param>
    /// <param name="pitch">Floats from one line of the panel to the next.</param>
    /// <param name="panelRows">Rows to load; a compile-time constant.</param>
    /// <param name="source">The matrix.</param>
    /// <param name="origin">The address of its row 0.</param>
    /// <param name="firstRow">The first row to load.</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="firstColumn">The first column to load.</param>
    /// <param name="columns">Columns of the matrix.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadTransposed<TTile, TRows>(
        ArrayView<float> panel, int pitch, int panelRows, TRows source, long origin, int firstRow, int rows, int firstColumn, int columns)
        where TTile : struct, ITile
        where TRows : struct, IMatrixRows
    {
        for (int i = Group.IdxX; i < panelRows * TTile.Depth; i += ThreadPosition<TTile>.Threads)
        {
            int line = i & (TTile.Depth - 1);
            int panelRow = i / TTile.Depth;
            int row = firstRow + panelRow;
            int column = firstColumn + line;
            panel[line * pitch + panelRow] =
                row < rows && column < columns ? source.Load(source.Row(origin, row), column) : 0f;
        }
    }

    /// <summary>
    /// Loads <c>TTile.Depth</c> rows by <paramref name="panelColumns"/> columns as they lie: line d of the panel is row d.
    /// Parameters as for <see cref="LoadTransposed"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TTile, TRows>(
        ArrayView<float> panel, int panelColumns, TRows source, long origin, int firstRow, int rows, int firstColumn, int columns)
        where TTile : struct, ITile
        where TRows : struct, IMatrixRows
    {
        for (int i = Group.IdxX; i < panelColumns * TTile.Depth; i += ThreadPosition<TTile>.Threads)
        {
            int row = firstRow + i / panelColumns;
            int column = firstColumn + (i & (panelColumns - 1));
            panel[i] = row < rows && column < columns ? source.Load(source.Row(origin, row), column) : 0f;
        }
    }

    /// <summary>As <see cref="Load"/>, with 0 in place of what is not finite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadFinite<TTile, TRows>(
        ArrayView<float> panel, int panelColumns, TRows source, long origin, int firstRow, int rows, int firstColumn, int columns)
        where TTile : struct, ITile
        where TRows : struct, IMatrixRows
    {
        for (int i = Group.IdxX; i < panelColumns * TTile.Depth; i += ThreadPosition<TTile>.Threads)
        {
            int row = firstRow + i / panelColumns;
            int column = firstColumn + (i & (panelColumns - 1));
            float value = row < rows && column < columns ? source.Load(source.Row(origin, row), column) : 0f;
            panel[i] = ValuePass.IsFinite(value) ? value : 0f;
        }
    }
}
