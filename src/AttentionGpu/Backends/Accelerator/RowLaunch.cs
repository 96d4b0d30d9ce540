using System.Numerics;
using AttentionGpu.Kernels.Common.Tiles;
using ILGPU;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The groups of a kernel whose threads take four elements of a row at once: short rows share a group.</summary>
/// <param name="Threads">Threads of a group; a power of two.</param>
/// <param name="LaneShift">2 to the power of this neighbouring threads share a row.</param>
internal readonly record struct RowLaunch(int Threads, int LaneShift)
{
    /// <summary>Elements of a row that a thread takes at once.</summary>
    public const int Elements = 4;

    /// <summary>The groups for rows of a length.</summary>
    /// <param name="accelerator">The device.</param>
    /// <param name="maxThreads">Most threads of a group.</param>
    /// <param name="rowLength">Elements of a row.</param>
    /// <param name="threadElements">Elements of a thread, where a group has as many threads.</param>
    public static RowLaunch For(ILGPU.Runtime.Accelerator accelerator, int maxThreads, int rowLength, int threadElements = Elements)
    {
        int shift = BitOperations.Log2((uint)Math.Min(maxThreads, accelerator.MaxNumThreadsPerGroup));
        return new RowLaunch(1 << shift, Math.Min(shift, Lanes(rowLength, threadElements)));
    }

    /// <summary>2 to the power of this threads have that many elements of a row each.</summary>
    public static int Lanes(int rowLength, int threadElements = Elements) =>
        BitOperations.Log2(BitOperations.RoundUpToPowerOf2((uint)Math.Max(1, TileCount.DivideUp(rowLength, threadElements))));

    /// <summary>The launch. Kernels count rows in 32 bits, also those that the last group does not have.</summary>
    /// <exception cref="NotSupportedException">There are more rows than that.</exception>
    public KernelConfig Groups(long rows) =>
        rows <= int.MaxValue - Threads
            ? new KernelConfig((int)TileCount.DivideUp(rows, Threads >> LaneShift), Threads)
            : throw new NotSupportedException(
                $"The problem has {rows:N0} rows in one launch; a device takes at most {int.MaxValue - Threads:N0}. Split the batch.");
}
