using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Cli.Bench;

/// <summary>What the processor can do at most, measured: multiply-adds from registers alone, and memory read from end to end.</summary>
internal sealed unsafe class MachineLimits : IDisposable
{
    private const long BufferBytes = 256L << 20;
    private const long Slices = 64;
    private const int PeakSteps = 1_000_000;

    private readonly int _threads;
    private readonly float* _buffer;

    /// <param name="threads">Threads to measure with.</param>
    public MachineLimits(int threads)
    {
        _threads = threads;
        _buffer = (float*)NativeMemory.AlignedAlloc((nuint)BufferBytes, 64);
        new Span<float>(_buffer, (int)(BufferBytes / sizeof(float))).Fill(1f);
    }

    /// <summary>Operations of <see cref="MultiplyAdd"/>.</summary>
    public double PeakOperations => (double)_threads * PeakSteps * 2 * Accumulators * Width;

    /// <summary>Bytes that <see cref="Read"/> reads.</summary>
    public static double ReadBytes => BufferBytes;

    private static int Accumulators => 12;

    private static int Width => Vector512.IsHardwareAccelerated ? 16 : Vector256.IsHardwareAccelerated ? 8 : 4;

    /// <summary>Multiplies and adds on every thread; about 2 ms at 3 GHz.</summary>
    public void MultiplyAdd() => new Measurement(_threads, MultiplyAddOnce).Run(_threads);

    /// <summary>Reads a buffer that no cache holds, with all threads.</summary>
    public void Read() => new Measurement(_threads, ReadSlice).Run(Slices);

    public void Dispose() => NativeMemory.AlignedFree(_buffer);

    private static void MultiplyAddOnce(long item)
    {
        if (Vector512.IsHardwareAccelerated)
            MultiplyAdd<Vector512<float>, Operations512>();
        else if (Vector256.IsHardwareAccelerated)
            MultiplyAdd<Vector256<float>, Operations256>();
        else
            MultiplyAdd<Vector128<float>, Operations128>();
    }

    private void ReadSlice(long item)
    {
        const long length = BufferBytes / Slices;
        PlainReading.Read((byte*)_buffer + item * length, length, ahead: 0);
    }

    // Twelve sums: enough for two multiply-adds a cycle with a latency of up to six.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float MultiplyAdd<TVector, TOperations>()
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
    {
        TVector factor = TOperations.Broadcast(0.999999f);
        TVector addend = TOperations.Broadcast(1e-6f);
        TVector s0 = factor, s1 = factor, s2 = factor, s3 = factor, s4 = factor, s5 = factor;
        TVector s6 = factor, s7 = factor, s8 = factor, s9 = factor, s10 = factor, s11 = factor;
        for (int i = 0; i < PeakSteps; i++)
        {
            s0 = TOperations.MultiplyAdd(s0, factor, addend);
            s1 = TOperations.MultiplyAdd(s1, factor, addend);
            s2 = TOperations.MultiplyAdd(s2, factor, addend);
            s3 = TOperations.MultiplyAdd(s3, factor, addend);
            s4 = TOperations.MultiplyAdd(s4, factor, addend);
            s5 = TOperations.MultiplyAdd(s5, factor, addend);
            s6 = TOperations.MultiplyAdd(s6, factor, addend);
            s7 = TOperations.MultiplyAdd(s7, factor, addend);
            s8 = TOperations.MultiplyAdd(s8, factor, addend);
            s9 = TOperations.MultiplyAdd(s9, factor, addend);
            s10 = TOperations.MultiplyAdd(s10, factor, addend);
            s11 = TOperations.MultiplyAdd(s11, factor, addend);
        }

        TVector low = TOperations.Add(TOperations.Add(TOperations.Add(s0, s1), TOperations.Add(s2, s3)), TOperations.Add(s4, s5));
        TVector high = TOperations.Add(TOperations.Add(TOperations.Add(s6, s7), TOperations.Add(s8, s9)), TOperations.Add(s10, s11));
        return TOperations.Sum(TOperations.Add(low, high));
    }

    /// <summary>On the engine's own threads.</summary>
    private sealed class Measurement(int threads, Action<long> action) : ParallelWork
    {
        public void Run(long items) => Run(items, threads, double.PositiveInfinity);

        public override void Work()
        {
            while (TryTake(out long item))
                action(item);
        }
    }
}
