using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Tiles;

/// <summary>The calling thread's row, where neighbouring threads share a row and a group has one row or more.</summary>
public readonly struct ThreadRow
{
    /// <summary>The row, among those of all groups.</summary>
    public readonly int Row;

    /// <summary>The thread's place among those of its row.</summary>
    public readonly int Lane;

    /// <param name="laneShift">2 to the power of this threads share a row; at most as many as a group has.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ThreadRow(int laneShift)
    {
        Row = Grid.IdxX * (Group.DimX >> laneShift) + (Group.IdxX >> laneShift);
        Lane = Group.IdxX & ((1 << laneShift) - 1);
    }
}
