using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Tiles;

/// <summary>
/// Brings part of a matrix into shared memory, with zeros where the matrix ends. A thread stays in its column: the address and the place in
/// the panel are carried from row to row, because ILGPU computes again in a loop what does not change there.
/// </summary>
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
    /// <param name="origin">The origin of the first row to load.</param>
    /// <param name="rows">Rows of the matrix from there to its end.</param>
    /// <param name="firstColumn">The first column to load.</param>
    /// <param name="columns">Columns of the matrix.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadTransposed<TTile, TRows>(
        ArrayView<float> panel, int pitch, int panelRows, TRows source, long origin, int rows, int firstColumn, int columns)
        where TTile : struct, ITile
        where TRows : struct, IMatrixRows
    {
        int line = Group.IdxX & (TTile.Depth - 1);
        if (ThreadPosition<TTile>.Threads >= TTile.Depth)
        {
            int first = Group.IdxX / TTile.Depth;

            // Rounded up: ILGPU divides by constants also in a branch that is not taken, where this would be 0.
            int step = TileCount.DivideUp(ThreadPosition<TTile>.Threads, TTile.Depth);
            LoadColumn(
                panel, line * pitch + first, step, source, origin, first, step, panelRows / step, rows, firstColumn + line, columns,
                onlyFinite: false);
        }
        else
        {
            for (; line < TTile.Depth; line += ThreadPosition<TTile>.Threads)
                LoadColumn(panel, line * pitch, 1, source, origin, 0, 1, panelRows, rows, firstColumn + line, columns, onlyFinite: false);
        }
    }

    /// <summary>
    /// Loads <c>TTile.Depth</c> rows by <paramref name="panelColumns"/> columns as they lie: line d of the panel is row d.
    /// </summary>
    /// <param name="panel">The shared memory to fill.</param>
    /// <param name="panelColumns">Columns to load; a compile-time constant.</param>
    /// <param name="source">The matrix.</param>
    /// <param name="origin">The origin of the first row to load.</param>
    /// <param name="rows">Rows of the matrix from there to its end.</param>
    /// <param name="firstColumn">The first column to load.</param>
    /// <param name="columns">Columns of the matrix.</param>
    /// <param name="onlyFinite">Whether 0 takes the place of what is not finite; a compile-time constant.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TTile, TRows>(
        ArrayView<float> panel, int panelColumns, TRows source, long origin, int rows, int firstColumn, int columns, bool onlyFinite)
        where TTile : struct, ITile
        where TRows : struct, IMatrixRows
    {
        int column = Group.IdxX & (panelColumns - 1);
        if (ThreadPosition<TTile>.Threads >= panelColumns)
        {
            int step = TileCount.DivideUp(ThreadPosition<TTile>.Threads, panelColumns);
            LoadColumn(
                panel, Group.IdxX, ThreadPosition<TTile>.Threads, source, origin, Group.IdxX / panelColumns, step, TTile.Depth / step, rows,
                firstColumn + column, columns, onlyFinite);
        }
        else
        {
            for (; column < panelColumns; column += ThreadPosition<TTile>.Threads)
                LoadColumn(panel, column, panelColumns, source, origin, 0, 1, TTile.Depth, rows, firstColumn + column, columns, onlyFinite);
        }
    }

    // A number of rows of a column, every step-th from the first; their places in the panel lie a pitch apart.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void LoadColumn<TRows>(
        ArrayView<float> panel, int place, int pitch, TRows source, long origin, int first, int step, int count, int rows, int column,
        int columns, bool onlyFinite)
        where TRows : struct, IMatrixRows
    {
        long at = source.Skip(origin, first);
        int row = column < columns ? first : rows;
        for (int i = 0; i < count; i++)
        {
            float value = row < rows ? source.Load(source.Row(at, 0), column) : 0f;
            panel[place] = !onlyFinite || ValuePass.IsFinite(value) ? value : 0f;
            at = source.Skip(at, step);
            place += pitch;
            row += step;
        }
    }
}
