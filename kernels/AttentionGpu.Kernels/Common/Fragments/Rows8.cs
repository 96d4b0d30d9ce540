using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Fragments;

/// <summary>
/// One value for each of the eight rows that a thread owns. <see cref="Low"/> are the four rows from
/// <c>4 * rowThread</c>, <see cref="High"/> the four at the same place in the second half of the tile's rows: each half is then one
/// 16-byte load, and neighbouring threads read neighbouring banks.
/// </summary>
public struct Rows8
{
    /// <summary>The four rows in the first half of the tile.</summary>
    public Float4 Low;

    /// <summary>The four rows in the second half of the tile.</summary>
    public Float4 High;

    /// <summary>Eight rows of two halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Rows8(Float4 low, Float4 high)
    {
        Low = low;
        High = high;
    }

    /// <summary>The value of one row of the eight.</summary>
    public readonly float this[int row]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => row < 4 ? Low[row] : High[row - 4];
    }

    /// <summary>The same value for all rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Rows8 Uniform(float value) => new(new Float4(value, value, value, value), new Float4(value, value, value, value));

    /// <summary>Reads a thread's rows from one line of a row-contiguous tile: 2 loads of 16 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Rows8 Load(ArrayView<Float4> tile, int index, int rowThreads) =>
        new(tile[index], tile[index + rowThreads]);

    /// <summary>Writes a thread's rows to one line of a row-contiguous tile: 2 stores of 16 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(ArrayView<Float4> tile, int index, int rowThreads)
    {
        tile[index] = Low;
        tile[index + rowThreads] = High;
    }

    /// <summary>Row by row maximum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Rows8 Maximum(Rows8 left, Rows8 right) =>
        new(Float4.Maximum(left.Low, right.Low), Float4.Maximum(left.High, right.High));

    /// <summary>Row by row sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Rows8 Add(Rows8 left, Rows8 right) =>
        new(Float4.Add(left.Low, right.Low), Float4.Add(left.High, right.High));
}
