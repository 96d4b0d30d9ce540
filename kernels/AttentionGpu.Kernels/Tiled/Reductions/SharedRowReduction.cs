using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Fragments;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Reductions;

/// <summary>
/// Joins rows through shared memory: 2 stores and 2 x column threads loads of 16 bytes, and 2 barriers. For devices without warp
/// shuffles (OpenCL without sub-groups) or with warps narrower than a row's threads.
/// </summary>
public struct SharedRowReduction : IRowReduction
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Rows8 Max(
        Rows8 values, ArrayView<Float4> scratch, int rowThread, int rowThreads, int columnThread, int columnThreads)
    {
        Publish(values, scratch, rowThread, rowThreads, columnThread);
        for (int other = 0; other < columnThreads; other++)
            values = Rows8.Maximum(values, Rows8.Load(scratch, other * 2 * rowThreads + rowThread, rowThreads));
        Group.Barrier();
        return values;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Rows8 Sum(
        Rows8 values, ArrayView<Float4> scratch, int rowThread, int rowThreads, int columnThread, int columnThreads)
    {
        Publish(values, scratch, rowThread, rowThreads, columnThread);

        // Every thread adds in the same order, so that all of a row's threads divide by the same sum.
        Rows8 sum = default;
        for (int other = 0; other < columnThreads; other++)
            sum = Rows8.Add(sum, Rows8.Load(scratch, other * 2 * rowThreads + rowThread, rowThreads));
        Group.Barrier();
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Publish(Rows8 values, ArrayView<Float4> scratch, int rowThread, int rowThreads, int columnThread)
    {
        values.Store(scratch, columnThread * 2 * rowThreads + rowThread, rowThreads);
        Group.Barrier();
    }
}
