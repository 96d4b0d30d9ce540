using System.Runtime.CompilerServices;

namespace AttentionGpu.Kernels.Common.Layouts;

/// <summary>Rows of contiguous columns.</summary>
public struct RowLayout : IMatrixLayout
{
    /// <summary>Where each matrix starts.</summary>
    public MatrixBatch Batch;

    /// <summary>Elements from one row to the next.</summary>
    public long RowStride;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Base(int matrix) => Batch.Base(matrix);

    /// <summary>The first element of a row of a head of a batch entry, where no heads share a matrix.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Address(int batch, int head, int row) => Batch.Base(batch, head) + Row(row);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Row(int row) => row * RowStride;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Column(int column) => column;
}
