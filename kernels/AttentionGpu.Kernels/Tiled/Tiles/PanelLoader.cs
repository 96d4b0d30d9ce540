using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
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
    /// <param name="source">The matrix's memory.</param>
    /// <param name="layout">Where its elements lie.</param>
    /// <param name="matrixBase">The matrix's first element.</param>
    /// <param name="firstRow">The first row to load.</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="firstColumn">The first column to load.</param>
    /// <param name="columns">Columns of the matrix.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadTransposed<TTile, TElement, TLayout>(
        ArrayView<float> panel, int pitch, int panelRows,
        ArrayView<TElement> source, TLayout layout, long matrixBase, int firstRow, int rows, int firstColumn, int columns)
        where TTile : struct, ITile
        where TElement : unmanaged, IElement<TElement>
        where TLayout : struct, IMatrixLayout
    {
        for (int i = Group.IdxX; i < panelRows * TTile.Depth; i += ThreadPosition<TTile>.Threads)
        {
            int line = i % TTile.Depth;
            int panelRow = i / TTile.Depth;
            int row = firstRow + panelRow;
            int column = firstColumn + line;
            panel[line * pitch + panelRow] =
                row < rows && column < columns ? source[matrixBase + layout.Row(row) + layout.Column(column)].ToSingle() : 0f;
        }
    }

    /// <summary>
    /// Loads <c>TTile.Depth</c> rows by <paramref name="panelColumns"/> columns as they lie: line d of the panel is row d.
    /// Parameters as for <see cref="LoadTransposed"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TTile, TElement>(
        ArrayView<float> panel, int panelColumns,
        ArrayView<TElement> source, RowLayout layout, long matrixBase, int firstRow, int rows, int firstColumn, int columns)
        where TTile : struct, ITile
        where TElement : unmanaged, IElement<TElement>
    {
        for (int i = Group.IdxX; i < panelColumns * TTile.Depth; i += ThreadPosition<TTile>.Threads)
        {
            int row = firstRow + i / panelColumns;
            int column = firstColumn + i % panelColumns;
            panel[i] = row < rows && column < columns ? source[matrixBase + layout.Row(row) + layout.Column(column)].ToSingle() : 0f;
        }
    }
}
