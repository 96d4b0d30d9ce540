using System.Runtime.CompilerServices;

namespace AttentionGpu.Kernels.Layouts;

/// <summary>Columns of contiguous rows: the transpose of a <see cref="RowLayout"/>, read in place.</summary>
public struct ColumnLayout : IMatrixLayout
{
    /// <summary>Where each matrix starts.</summary>
    public MatrixBatch Batch;

    /// <summary>Elements from one column to the next.</summary>
    public long ColumnStride;

    /// <inheritdoc/>
    public static bool ColumnsContiguous => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Base(int matrix) => Batch.Base(matrix);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Row(int row) => row;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Column(int column) => column * ColumnStride;
}
