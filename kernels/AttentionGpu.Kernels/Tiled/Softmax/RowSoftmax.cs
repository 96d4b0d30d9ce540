using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Softmax;

/// <summary>
/// The running softmax of the eight rows that a thread owns. Every thread of a row holds the same maxima, but only the sum over its
/// own columns: the sums are joined once, at the end.
/// </summary>
public struct RowSoftmax
{
    private OnlineSoftmax _row0;
    private OnlineSoftmax _row1;
    private OnlineSoftmax _row2;
    private OnlineSoftmax _row3;
    private OnlineSoftmax _row4;
    private OnlineSoftmax _row5;
    private OnlineSoftmax _row6;
    private OnlineSoftmax _row7;

    /// <summary>Eight rows that have seen no score.</summary>
    public static RowSoftmax Empty
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new()
        {
            _row0 = OnlineSoftmax.Empty,
            _row1 = OnlineSoftmax.Empty,
            _row2 = OnlineSoftmax.Empty,
            _row3 = OnlineSoftmax.Empty,
            _row4 = OnlineSoftmax.Empty,
            _row5 = OnlineSoftmax.Empty,
            _row6 = OnlineSoftmax.Empty,
            _row7 = OnlineSoftmax.Empty,
        };
    }

    /// <summary>The sums over this thread's columns.</summary>
    public readonly Rows8 Sums
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(
            new Float4(_row0.Sum, _row1.Sum, _row2.Sum, _row3.Sum),
            new Float4(_row4.Sum, _row5.Sum, _row6.Sum, _row7.Sum));
    }

    /// <summary>
    /// Takes a block of scores in and turns it into weights: 32 subtractions, 32 exponentials and 32 additions, and 8 of each to rescale.
    /// </summary>
    /// <param name="scores">The thread's scores; weights relative to the new maxima when it returns.</param>
    /// <param name="maxima">The largest score of each row over the whole block, not over this thread's columns alone.</param>
    /// <returns>The factors by which what was accumulated so far shrinks.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Rows8 Advance(ref Fragment8x4 scores, Rows8 maxima) => new(
        new Float4(
            Advance(ref _row0, ref scores.R0, maxima.Low.X),
            Advance(ref _row1, ref scores.R1, maxima.Low.Y),
            Advance(ref _row2, ref scores.R2, maxima.Low.Z),
            Advance(ref _row3, ref scores.R3, maxima.Low.W)),
        new Float4(
            Advance(ref _row4, ref scores.R4, maxima.High.X),
            Advance(ref _row5, ref scores.R5, maxima.High.Y),
            Advance(ref _row6, ref scores.R6, maxima.High.Z),
            Advance(ref _row7, ref scores.R7, maxima.High.W)));

    /// <summary>Adds the sums of earlier stretches of keys to those of this one.</summary>
    /// <param name="totals">This stretch's sums over all columns; with the earlier ones when it returns.</param>
    /// <param name="earlier">The states that <see cref="Keep"/> has left.</param>
    /// <param name="thread">The thread's place.</param>
    /// <returns>By what the values that were accumulated over earlier stretches shrink.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Rows8 Join<TTile>(ref Rows8 totals, ArrayView<OnlineSoftmax> earlier, ThreadPosition<TTile> thread)
        where TTile : struct, ITile => new(
        new Float4(
            Join(_row0, ref totals.Low.X, earlier[thread.TileRow(0)]),
            Join(_row1, ref totals.Low.Y, earlier[thread.TileRow(1)]),
            Join(_row2, ref totals.Low.Z, earlier[thread.TileRow(2)]),
            Join(_row3, ref totals.Low.W, earlier[thread.TileRow(3)])),
        new Float4(
            Join(_row4, ref totals.High.X, earlier[thread.TileRow(4)]),
            Join(_row5, ref totals.High.Y, earlier[thread.TileRow(5)]),
            Join(_row6, ref totals.High.Z, earlier[thread.TileRow(6)]),
            Join(_row7, ref totals.High.W, earlier[thread.TileRow(7)])));

    /// <summary>Leaves the states after a stretch of keys in shared memory: one thread a row.</summary>
    /// <param name="totals">The sums over all columns and stretches so far.</param>
    /// <param name="kept">Where the states go, a row an element.</param>
    /// <param name="thread">The thread's place.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Keep<TTile>(Rows8 totals, ArrayView<OnlineSoftmax> kept, ThreadPosition<TTile> thread)
        where TTile : struct, ITile
    {
        kept[thread.TileRow(0)] = new OnlineSoftmax { Maximum = _row0.Maximum, Sum = totals.Low.X };
        kept[thread.TileRow(1)] = new OnlineSoftmax { Maximum = _row1.Maximum, Sum = totals.Low.Y };
        kept[thread.TileRow(2)] = new OnlineSoftmax { Maximum = _row2.Maximum, Sum = totals.Low.Z };
        kept[thread.TileRow(3)] = new OnlineSoftmax { Maximum = _row3.Maximum, Sum = totals.Low.W };
        kept[thread.TileRow(4)] = new OnlineSoftmax { Maximum = _row4.Maximum, Sum = totals.High.X };
        kept[thread.TileRow(5)] = new OnlineSoftmax { Maximum = _row5.Maximum, Sum = totals.High.Y };
        kept[thread.TileRow(6)] = new OnlineSoftmax { Maximum = _row6.Maximum, Sum = totals.High.Z };
        kept[thread.TileRow(7)] = new OnlineSoftmax { Maximum = _row7.Maximum, Sum = totals.High.W };
    }

    /// <summary>Makes the sums 0 and keeps the maxima: the next stretch of keys begins.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Restart()
    {
        _row0.Sum = 0f;
        _row1.Sum = 0f;
        _row2.Sum = 0f;
        _row3.Sum = 0f;
        _row4.Sum = 0f;
        _row5.Sum = 0f;
        _row6.Sum = 0f;
        _row7.Sum = 0f;
    }

    /// <summary>
    /// Ends the rows: takes the sums over all columns, and a last score that has no value (-inf for none). Afterwards the states are whole.
    /// </summary>
    /// <returns>What the values that were accumulated are multiplied by; 0 for a row with no visible key.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Rows8 Finish(Rows8 totals, float sink) => new(
        new Float4(
            Finish(ref _row0, totals.Low.X, sink),
            Finish(ref _row1, totals.Low.Y, sink),
            Finish(ref _row2, totals.Low.Z, sink),
            Finish(ref _row3, totals.Low.W, sink)),
        new Float4(
            Finish(ref _row4, totals.High.X, sink),
            Finish(ref _row5, totals.High.Y, sink),
            Finish(ref _row6, totals.High.Z, sink),
            Finish(ref _row7, totals.High.W, sink)));

    /// <summary>The logarithms of the sums of exponentials of rows that have ended; -inf for a row with no visible key.</summary>
    public readonly Rows8 LogSumExp
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(
            new Float4(_row0.LogSumExp, _row1.LogSumExp, _row2.LogSumExp, _row3.LogSumExp),
            new Float4(_row4.LogSumExp, _row5.LogSumExp, _row6.LogSumExp, _row7.LogSumExp));
    }

    // The maximum is that of all stretches: what is earlier can only shrink.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Join(OnlineSoftmax row, ref float total, OnlineSoftmax earlier)
    {
        float factor = earlier.Raise(row.Maximum);
        total += earlier.Sum;
        return factor;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Finish(ref OnlineSoftmax row, float total, float sink)
    {
        row.Sum = total;
        return row.Finish(sink);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Advance(ref OnlineSoftmax row, ref Float4 scores, float maximum)
    {
        float factor = row.Raise(maximum);
        scores = row.Weights(scores);
        row.Sum += scores.Sum;
        return factor;
    }
}
