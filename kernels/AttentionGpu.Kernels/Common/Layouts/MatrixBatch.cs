using System.Runtime.CompilerServices;

namespace AttentionGpu.Kernels.Common.Layouts;

/// <summary>
/// Where the matrices of a (batch, head) grid start. Matrix number m is head <c>m % Heads</c> of batch entry <c>m / Heads</c>; with
/// grouped-query attention several query heads share one matrix.
/// </summary>
public struct MatrixBatch
{
    /// <summary>Heads in a batch entry; at least 1.</summary>
    public int Heads;

    /// <summary>Query heads that share one matrix; at least 1.</summary>
    public int HeadsPerMatrix;

    /// <summary>Elements from one batch entry to the next.</summary>
    public long BatchStride;

    /// <summary>Elements from one matrix to the next within a batch entry.</summary>
    public long HeadStride;

    /// <summary>A single matrix.</summary>
    public static MatrixBatch One => new() { Heads = 1, HeadsPerMatrix = 1 };

    /// <summary>The first element of the matrix of a head of a batch entry, where no heads share one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Base(int batch, int head) => batch * BatchStride + head * HeadStride;

    /// <summary>The first element of a matrix.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Base(int matrix) =>
        matrix / Heads * BatchStride + matrix % Heads / HeadsPerMatrix * HeadStride;
}
