using ILGPU;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>A kernel that turns a row around, and what could be wrong with it.</summary>
internal static class FaultyKernels
{
    public const int Threads = 64;

    public static void Reverse(ArrayView<int> output)
    {
        ArrayView<int> shared = SharedMemory.Allocate<int>(Threads);
        shared[Group.IdxX] = Group.IdxX;
        Group.Barrier();
        output[Group.IdxX] = shared[Threads - 1 - Group.IdxX];
    }

    public static void ReverseWithoutBarrier(ArrayView<int> output)
    {
        ArrayView<int> shared = SharedMemory.Allocate<int>(Threads);
        shared[Group.IdxX] = Group.IdxX;
        output[Group.IdxX] = shared[Threads - 1 - Group.IdxX];
    }

    public static void ReverseBeyondSharedMemory(ArrayView<int> output)
    {
        ArrayView<int> shared = SharedMemory.Allocate<int>(Threads);
        shared[Group.IdxX + 1] = Group.IdxX;
        Group.Barrier();
        output[Group.IdxX] = shared[Threads - 1 - Group.IdxX];
    }

    public static void BarrierOfSome(ArrayView<int> output)
    {
        if (Group.IdxX < Threads / 2)
            Group.Barrier();
        output[Group.IdxX] = Group.IdxX;
    }
}
