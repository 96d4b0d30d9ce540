using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Fragments;

/// <summary>Eight rows by four columns of accumulators: 32 registers.</summary>
public struct Fragment8x4 : IBlockFragment
{
    /// <summary>Row 0, in the first half of the tile.</summary>
    public Float4 R0;

    /// <summary>Row 1.</summary>
    public Float4 R1;

    /// <summary>Row 2.</summary>
    public Float4 R2;

    /// <summary>Row 3.</summary>
    public Float4 R3;

    /// <summary>Row 4, the first in the second half of the tile.</summary>
    public Float4 R4;

    /// <summary>Row 5.</summary>
    public Float4 R5;

    /// <summary>Row 6.</summary>
    public Float4 R6;

    /// <summary>Row 7.</summary>
    public Float4 R7;

    /// <inheritdoc/>
    public static int Groups => 1;

    /// <summary>The largest value of each row.</summary>
    public readonly Rows8 RowMax
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(new Float4(R0.Max, R1.Max, R2.Max, R3.Max), new Float4(R4.Max, R5.Max, R6.Max, R7.Max));
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyAdd(Rows8 rows, ArrayView<Float4> panel, int index, int stride)
    {
        Float4 columns = panel[index];
        R0.MultiplyAdd(rows.Low.X, columns);
        R1.MultiplyAdd(rows.Low.Y, columns);
        R2.MultiplyAdd(rows.Low.Z, columns);
        R3.MultiplyAdd(rows.Low.W, columns);
        R4.MultiplyAdd(rows.High.X, columns);
        R5.MultiplyAdd(rows.High.Y, columns);
        R6.MultiplyAdd(rows.High.Z, columns);
        R7.MultiplyAdd(rows.High.W, columns);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Scale(Rows8 factors)
    {
        R0.Scale(factors.Low.X);
        R1.Scale(factors.Low.Y);
        R2.Scale(factors.Low.Z);
        R3.Scale(factors.Low.W);
        R4.Scale(factors.High.X);
        R5.Scale(factors.High.Y);
        R6.Scale(factors.High.Z);
        R7.Scale(factors.High.W);
    }

    /// <summary>Multiplies every row by its factor and adds another fragment: 32 multiply-adds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void ScaleAdd(Rows8 factors, Fragment8x4 other)
    {
        R0.ScaleAdd(factors.Low.X, other.R0);
        R1.ScaleAdd(factors.Low.Y, other.R1);
        R2.ScaleAdd(factors.Low.Z, other.R2);
        R3.ScaleAdd(factors.Low.W, other.R3);
        R4.ScaleAdd(factors.High.X, other.R4);
        R5.ScaleAdd(factors.High.Y, other.R5);
        R6.ScaleAdd(factors.High.Z, other.R6);
        R7.ScaleAdd(factors.High.W, other.R7);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StartBlock(Rows8 factors) => Scale(factors);

    /// <inheritdoc/>
    public readonly void EndBlock(Rows8 factors)
    {
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store<TSink>(TSink sink, int column, int stride)
        where TSink : struct, IFragmentSink
    {
        sink.MoveTo(column);
        sink.Write(0, column, R0);
        sink.Write(1, column, R1);
        sink.Write(2, column, R2);
        sink.Write(3, column, R3);
        sink.Write(4, column, R4);
        sink.Write(5, column, R5);
        sink.Write(6, column, R6);
        sink.Write(7, column, R7);
    }

    /// <summary>
    /// Writes the fragment with its rows contiguous, one line a column, so that the next product reads eight rows in two loads:
    /// 8 stores of 16 bytes.
    /// </summary>
    /// <param name="tile">A tile in shared memory, four rows an element.</param>
    /// <param name="index">This thread's element in the line of its first column.</param>
    /// <param name="pitch">Elements from one line to the next.</param>
    /// <param name="rowThreads">Elements from the first half of a line to its second.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void StoreTransposed(ArrayView<Float4> tile, int index, int pitch, int rowThreads)
    {
        new Rows8(new Float4(R0.X, R1.X, R2.X, R3.X), new Float4(R4.X, R5.X, R6.X, R7.X)).Store(tile, index, rowThreads);
        new Rows8(new Float4(R0.Y, R1.Y, R2.Y, R3.Y), new Float4(R4.Y, R5.Y, R6.Y, R7.Y)).Store(tile, index + pitch, rowThreads);
        new Rows8(new Float4(R0.Z, R1.Z, R2.Z, R3.Z), new Float4(R4.Z, R5.Z, R6.Z, R7.Z)).Store(tile, index + 2 * pitch, rowThreads);
        new Rows8(new Float4(R0.W, R1.W, R2.W, R3.W), new Float4(R4.W, R5.W, R6.W, R7.W)).Store(tile, index + 3 * pitch, rowThreads);
    }
}
