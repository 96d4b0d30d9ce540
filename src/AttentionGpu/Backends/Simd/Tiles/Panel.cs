using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>Packs rows into the lanes of a panel, and unpacks them.</summary>
internal static unsafe class Panel
{
    /// <summary>
    /// <c>panel[step][lane] = factor * rows[lane][step]</c>; zeros in the lanes beyond <paramref name="rows"/>. Four rows at a time: four
    /// loads and four neighbouring stores a step.
    /// </summary>
    /// <param name="panel">[steps, lanes].</param>
    /// <param name="lanes">Lanes of the panel; a multiple of four.</param>
    /// <param name="rows">The rows, by address.</param>
    /// <param name="rowCount">How many there are; at most <paramref name="lanes"/>.</param>
    /// <param name="steps">Elements of a row to pack.</param>
    /// <param name="factor">What each element is multiplied by.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pack(float* panel, int lanes, float** rows, int rowCount, int steps, float factor)
    {
        int lane = 0;
        for (; lane + Transpose4.Size <= rowCount; lane += Transpose4.Size)
            PackFour(panel + lane, lanes, rows[lane], rows[lane + 1], rows[lane + 2], rows[lane + 3], steps, factor);
        for (; lane < lanes; lane++)
        {
            for (int step = 0; step < steps; step++)
                panel[(nint)step * lanes + lane] = lane < rowCount ? rows[lane][step] * factor : 0f;
        }
    }

    /// <summary>Four lanes of <see cref="Pack"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PackFour(float* target, int lanes, float* row0, float* row1, float* row2, float* row3, int steps, float factor)
    {
        int step = 0;
        for (; step + Transpose4.Size <= steps; step += Transpose4.Size)
        {
            Transpose4.Copy(
                row0 + step, row1 + step, row2 + step, row3 + step, target, target + lanes, target + 2 * lanes, target + 3 * lanes,
                Vector128.Create(factor));
            target += Transpose4.Size * lanes;
        }

        for (; step < steps; step++)
        {
            target[0] = row0[step] * factor;
            target[1] = row1[step] * factor;
            target[2] = row2[step] * factor;
            target[3] = row3[step] * factor;
            target += lanes;
        }
    }

    /// <summary>
    /// The reverse of <see cref="Pack"/>, with a factor for each lane: <c>rows[lane][step] = factors[lane] * panel[step][lane]</c>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(float* panel, int lanes, float** rows, int rowCount, int steps, float* factors)
    {
        int lane = 0;
        for (; lane + Transpose4.Size <= rowCount; lane += Transpose4.Size)
        {
            float* source = panel + lane;
            int step = 0;
            for (; step + Transpose4.Size <= steps; step += Transpose4.Size)
            {
                Transpose4.Copy(
                    source, source + lanes, source + 2 * lanes, source + 3 * lanes,
                    rows[lane] + step, rows[lane + 1] + step, rows[lane + 2] + step, rows[lane + 3] + step,
                    Vector128.Load(factors + lane));
                source += Transpose4.Size * lanes;
            }

            for (; step < steps; step++)
            {
                for (int i = 0; i < Transpose4.Size; i++)
                    rows[lane + i][step] = source[i] * factors[lane + i];
                source += lanes;
            }
        }

        for (; lane < rowCount; lane++)
        {
            for (int step = 0; step < steps; step++)
                rows[lane][step] = panel[(nint)step * lanes + lane] * factors[lane];
        }
    }
}
