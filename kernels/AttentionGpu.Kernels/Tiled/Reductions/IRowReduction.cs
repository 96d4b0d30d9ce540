using AttentionGpu.Kernels.Common.Fragments;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Reductions;

/// <summary>How the threads that share rows join their eight partial values. All threads of the group call it together.</summary>
public interface IRowReduction
{
    /// <summary>The maximum of each row over its threads, in every thread.</summary>
    /// <param name="values">This thread's values.</param>
    /// <param name="scratch">Shared memory that nothing else uses meanwhile: rows x column threads floats at least.</param>
    /// <param name="rowThread">This thread's place among the row threads.</param>
    /// <param name="rowThreads">Threads down a tile.</param>
    /// <param name="columnThread">This thread's place among the threads of its rows.</param>
    /// <param name="columnThreads">Threads that share rows; a power of two.</param>
    static abstract Rows8 Max(
        Rows8 values, ArrayView<Float4> scratch, int rowThread, int rowThreads, int columnThread, int columnThreads);

    /// <summary>The sum of each row over its threads, in every thread. Parameters as for <see cref="Max"/>.</summary>
    static abstract Rows8 Sum(
        Rows8 values, ArrayView<Float4> scratch, int rowThread, int rowThreads, int columnThread, int columnThreads);
}
