using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Finds rows whose numbers are not finite. A hidden key weighs 0, and 0 times a value that is NaN or infinite is NaN: such a sum, or one
/// that has overflowed on its way to an ordinary mean, is the only sign of it. A number times 0 is 0 or NaN, and NaN stays in a sum.
/// </summary>
internal static unsafe class NonFinite<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    /// <summary>Makes marks of the lanes of a panel: NaN where a number of the lane is not finite, else 0.</summary>
    /// <param name="panel">[steps, lanes].</param>
    /// <param name="lanes">Lanes of the panel: those of a tile, or of half.</param>
    /// <param name="steps">Numbers of a lane.</param>
    /// <param name="marks">[lanes].</param>
    public static void Mark(float* panel, int lanes, int steps, float* marks)
    {
        if (TOperations.TileVectors == 4 && lanes == RegisterTile<TVector, TOperations>.Lanes)
            Mark<TileRow4<TVector, TOperations>>(panel, steps, marks);
        else
            Mark<TileRow2<TVector, TOperations>>(panel, steps, marks);
    }

    /// <summary>Whether a number of a row is not finite.</summary>
    /// <param name="row">The row.</param>
    /// <param name="count">Numbers; a multiple of a vector's.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool IsIn(float* row, int count)
    {
        TVector mark = TOperations.Zero;
        for (int i = 0; i < count; i += TOperations.Width)
            mark = TOperations.MultiplyAdd(TOperations.Load(row + i), TOperations.Zero, mark);
        return float.IsNaN(TOperations.Sum(mark));
    }

    /// <summary>The lanes that are marked, as bits.</summary>
    public static ulong Marked(float* marks, int lanes)
    {
        ulong marked = 0;
        for (int lane = 0; lane < lanes; lane++)
            marked |= float.IsNaN(marks[lane]) ? 1ul << lane : 0;
        return marked;
    }

    // Two rows a step: 8 loads and 8 multiply-adds with four vectors a row.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Mark<TRow>(float* panel, int steps, float* marks)
        where TRow : struct, ITileRow<TRow, TVector>
    {
        TRow zero = TRow.Zero, even = TRow.Zero, odd = TRow.Zero;
        for (; steps > 1; steps -= 2)
        {
            even = TRow.MultiplyAdd(TRow.Load(panel), zero, even);
            odd = TRow.MultiplyAdd(TRow.Load(panel + TRow.Lanes), zero, odd);
            panel += 2 * TRow.Lanes;
        }

        if (steps > 0)
            even = TRow.MultiplyAdd(TRow.Load(panel), zero, even);
        TRow.Store(TRow.Add(even, odd), marks);
    }
}
