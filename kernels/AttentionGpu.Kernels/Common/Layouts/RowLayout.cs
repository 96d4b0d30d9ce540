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

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Row(int row) => row * RowStride;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Column(int column) => column;
}
