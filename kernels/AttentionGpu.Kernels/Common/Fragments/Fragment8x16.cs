using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Fragments;

/// <summary>
/// Eight rows by sixteen columns of accumulators, row after row: 8 vector registers of 16 floats, where a compiler makes vectors of
/// neighbouring statements. (Of <see cref="FragmentPair{T}"/>, which goes by fours of columns, it made half the speed on PoCL.)
/// </summary>
public struct Fragment8x16 : IFragment
{
    private Lanes16 _row0;
    private Lanes16 _row1;
    private Lanes16 _row2;
    private Lanes16 _row3;
    private Lanes16 _row4;
    private Lanes16 _row5;
    private Lanes16 _row6;
    private Lanes16 _row7;

    /// <inheritdoc/>
    public static int Groups => 4;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyAdd(Rows8 rows, ArrayView<Float4> panel, int index, int stride)
    {
        var columns = Lanes16.Load(panel, index, stride);
        _row0.MultiplyAdd(rows.Low.X, columns);
        _row1.MultiplyAdd(rows.Low.Y, columns);
        _row2.MultiplyAdd(rows.Low.Z, columns);
        _row3.MultiplyAdd(rows.Low.W, columns);
        _row4.MultiplyAdd(rows.High.X, columns);
        _row5.MultiplyAdd(rows.High.Y, columns);
        _row6.MultiplyAdd(rows.High.Z, columns);
        _row7.MultiplyAdd(rows.High.W, columns);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Scale(Rows8 factors)
    {
        _row0.Scale(factors.Low.X);
        _row1.Scale(factors.Low.Y);
        _row2.Scale(factors.Low.Z);
        _row3.Scale(factors.Low.W);
        _row4.Scale(factors.High.X);
        _row5.Scale(factors.High.Y);
        _row6.Scale(factors.High.Z);
        _row7.Scale(factors.High.W);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store<TSink>(TSink sink, int column, int stride)
        where TSink : struct, IFragmentSink
    {
        _row0.Store(sink, 0, column, stride);
        _row1.Store(sink, 1, column, stride);
        _row2.Store(sink, 2, column, stride);
        _row3.Store(sink, 3, column, stride);
        _row4.Store(sink, 4, column, stride);
        _row5.Store(sink, 5, column, stride);
        _row6.Store(sink, 6, column, stride);
        _row7.Store(sink, 7, column, stride);
    }
}
