using System.Runtime.CompilerServices;

namespace AttentionGpu.Kernels.Common.Layouts;

/// <summary>
/// A [rows, columns] matrix whose columns are heads and whose rows are (batch, position) pairs, stored head by head: the layout that
/// attention reads. A projection stores its result through it and so splits the heads.
/// </summary>
public struct HeadLayout : IMatrixLayout
{
    /// <summary>Rows that share an outer row index: the length for batch-first rows, the batch for sequence-first rows.</summary>
    public int InnerRows;

    /// <summary>Elements from one outer row index to the next.</summary>
    public long OuterRowStride;

    /// <summary>Elements from one inner row index to the next.</summary>
    public long InnerRowStride;

    /// <summary>Columns in a head.</summary>
    public int HeadSize;

    /// <summary>Elements from one head to the next.</summary>
    public long HeadStride;

    /// <inheritdoc/>
    public readonly long Base(int matrix) => 0;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Row(int row) => row / InnerRows * OuterRowStride + row % InnerRows * InnerRowStride;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Column(int column) => column / HeadSize * HeadStride + column % HeadSize;
}
