using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Cli.Bench;

/// <summary>Reads memory from end to end with the widest vectors, and does nothing else.</summary>
internal static unsafe class PlainReading
{
    private const int CacheLine = 64;

    // Lines further ahead would push others out of L1: they are asked for in L2.
    private const int MostAheadInLevel1 = 4096;

    /// <summary>Reads bytes; those behind the last four vectors are left out.</summary>
    /// <param name="source">The first byte.</param>
    /// <param name="bytes">How many.</param>
    /// <param name="ahead">How many bytes ahead it prefetches; 0 for none.</param>
    /// <param name="lineStep">It prefetches one line of so many.</param>
    public static void Read(byte* source, long bytes, int ahead, int lineStep = 1)
    {
        if (Vector512.IsHardwareAccelerated)
            Read<Vector512<float>, Operations512>(source, bytes, ahead, lineStep * CacheLine);
        else if (Vector256.IsHardwareAccelerated)
            Read<Vector256<float>, Operations256>(source, bytes, ahead, lineStep * CacheLine);
        else
            Read<Vector128<float>, Operations128>(source, bytes, ahead, lineStep * CacheLine);
    }

    // Maxima, which take no longer for numbers that a sum would be slow with: the bytes are of any type. Four vectors a turn, and
    // prefetches for the lines of them.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Read<TVector, TOperations>(byte* source, long bytes, int ahead, int aheadStep)
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
    {
        int step = 4 * sizeof(TVector);
        TVector m0 = TOperations.Zero, m1 = TOperations.Zero, m2 = TOperations.Zero, m3 = TOperations.Zero;
        byte* end = source + (bytes / step * step);
        bool prefetches = ahead > 0 && Sse.IsSupported;
        bool isFar = ahead > MostAheadInLevel1;
        for (; source < end; source += step)
        {
            if (prefetches)
            {
                for (int line = 0; line < step; line += aheadStep)
                {
                    if (isFar)
                        Sse.Prefetch1(source + ahead + line);
                    else
                        Sse.Prefetch0(source + ahead + line);
                }
            }

            m0 = TOperations.Max(m0, TOperations.Load((float*)source));
            m1 = TOperations.Max(m1, TOperations.Load((float*)(source + sizeof(TVector))));
            m2 = TOperations.Max(m2, TOperations.Load((float*)(source + 2 * sizeof(TVector))));
            m3 = TOperations.Max(m3, TOperations.Load((float*)(source + 3 * sizeof(TVector))));
        }

        return TOperations.Largest(TOperations.Max(TOperations.Max(m0, m1), TOperations.Max(m2, m3)));
    }
}
