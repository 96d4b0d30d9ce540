using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Fragments;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Reductions;

/// <summary>
/// Joins rows by butterfly shuffles: 8 shuffles a step, log2(column threads) steps, no shared memory and no barrier. Needs the
/// threads of a row to be neighbours in one warp.
/// </summary>
public struct WarpRowReduction : IRowReduction
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Rows8 Max(
        Rows8 values, ArrayView<Float4> scratch, int rowThread, int rowThreads, int columnThread, int columnThreads)
    {
        for (int mask = 1; mask < columnThreads; mask *= 2)
            values = Rows8.Maximum(values, Exchange(values, mask));
        return values;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Rows8 Sum(
        Rows8 values, ArrayView<Float4> scratch, int rowThread, int rowThreads, int columnThread, int columnThreads)
    {
        for (int mask = 1; mask < columnThreads; mask *= 2)
            values = Rows8.Add(values, Exchange(values, mask));
        return values;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Rows8 Exchange(Rows8 value, int mask) => new(Exchange(value.Low, mask), Exchange(value.High, mask));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Float4 Exchange(Float4 value, int mask) => new(
        Warp.ShuffleXor(value.X, mask), Warp.ShuffleXor(value.Y, mask), Warp.ShuffleXor(value.Z, mask), Warp.ShuffleXor(value.W, mask));
}
