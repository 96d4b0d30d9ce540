using System.Reflection;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>Kernels with a fault: <see cref="PtxMachine"/> must find it. The same kernels without it run to their end.</summary>
public class PlantedFaultTests
{
    private const int Threads = FaultyKernels.Threads;

    [Fact]
    public void A_race_is_found()
    {
        Assert.Equal(Enumerable.Range(0, Threads).Reverse(), Run(nameof(FaultyKernels.Reverse), Threads));
        PtxException exception = Assert.Throws<PtxException>(() => Run(nameof(FaultyKernels.ReverseWithoutBarrier), Threads));
        Assert.Contains("a race", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_write_outside_memory_is_found()
    {
        PtxException exception = Assert.Throws<PtxException>(() => Run(nameof(FaultyKernels.Reverse), Threads - 1));
        Assert.Contains("outside every buffer", exception.Message, StringComparison.Ordinal);
        exception = Assert.Throws<PtxException>(() => Run(nameof(FaultyKernels.ReverseBeyondSharedMemory), Threads));
        Assert.Contains("of shared memory", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_barrier_that_not_all_threads_reach_is_found()
    {
        PtxException exception = Assert.Throws<PtxException>(() => Run(nameof(FaultyKernels.BarrierOfSome), Threads));
        Assert.Contains("barrier", exception.Message, StringComparison.Ordinal);
    }

    private static int[] Run(string kernel, int length)
    {
        MethodInfo method = typeof(FaultyKernels).GetMethod(kernel)!;
        var memory = new PtxGlobalMemory();
        ulong output = memory.Add<int>(new int[length]);
        new PtxMachine(new PtxProgram(PtxCompiler.Compile(CudaArchitecture.SM_80, method)), memory).With(0, (output, (long)length)).Run(1, Threads);
        return memory.Get<int>(output).ToArray();
    }
}
