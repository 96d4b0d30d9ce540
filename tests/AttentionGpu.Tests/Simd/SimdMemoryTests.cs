using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Memory;

namespace AttentionGpu.Tests.Simd;

/// <summary>Memory and objects that calls use again.</summary>
public unsafe class SimdMemoryTests
{
    /// <summary>
    /// Shared memory first, then the slots: each at a cache line, all within the bytes that are asked for, and with a gap between that
    /// prefetching does not cross.
    /// </summary>
    [Theory]
    [InlineData(0, 1, 0)]
    [InlineData(1, 3, 5)]
    [InlineData(16, 2, 16)]
    [InlineData(17, 16, 1000)]
    public void A_workspace_has_room_for_its_parts(long shared, int slots, long slotFloats)
    {
        var workspace = new ThreadWorkspace(shared, slots, slotFloats);
        const int gap = 4096;
        long end = shared == 0 ? 0 : shared + gap;
        for (int slot = 0; slot < slots; slot++)
        {
            long first = workspace.Slot(null, slot) - (float*)null;
            Assert.True(first >= end, $"Slot {slot} starts at {first}, before {end}.");
            Assert.Equal(0, first % 16);
            end = first + slotFloats + gap;
        }

        Assert.InRange(workspace.ByteLength, end * sizeof(float), (end + 16) * sizeof(float));
        Assert.Throws<ArgumentOutOfRangeException>(() => workspace.In(DeviceMemory.OnHost(null, 64, workspace.ByteLength - 1)));
        Assert.Equal(64, (nint)workspace.In(DeviceMemory.OnHost(null, 64, workspace.ByteLength)));
    }

    [Fact]
    public void A_run_has_a_slot_for_each_thread_that_works()
    {
        Assert.Equal(1, ParallelWork.Workers(count: 1000, threads: 8, operations: 1));
        Assert.Equal(1, ParallelWork.Workers(count: 1, threads: 8, operations: 1e9));
        Assert.Equal(1, ParallelWork.Workers(count: 1000, threads: 1, operations: 1e9));
        Assert.Equal(WorkerPool.Shared.Threads, ParallelWork.Workers(count: 1000, threads: 1000, operations: 1e9));
    }

    /// <summary>Threads of a call never share a slot, in its first run and in those after.</summary>
    [Fact]
    public void Threads_have_slots_of_their_own()
    {
        const int slots = 8;
        var workspace = new ThreadWorkspace(0, slots, 1);
        float[] memory = new float[workspace.ByteLength / sizeof(float)];
        fixed (float* first = memory)
        {
            var work = new Slots(workspace, first);
            for (int run = 0; run < 200; run++)
                work.Run();
            Assert.Equal(200 * Slots.Items, memory.Sum());
        }
    }

    /// <summary>Two calls of a plan at the same time must not have one object.</summary>
    [Fact]
    public void An_idle_object_is_taken_once()
    {
        IdleWork<Nothing> idle = default;
        Assert.Null(idle.Take());
        var work = new Nothing();
        idle.Keep(work);
        Assert.Same(work, idle.Take());
        Assert.Null(idle.Take());
    }

    // Counts its items in the threads' slots: two threads in one would lose some.
    private sealed class Slots : WorkspaceWork
    {
        public const int Items = 500;

        public Slots(ThreadWorkspace workspace, float* memory) => Take(workspace, memory);

        public void Run() => Run(Items, 1e9);

        protected override void Do(long item, float* memory) => *memory += 1f;
    }

    private sealed class Nothing : ParallelWork
    {
        public override void Work()
        {
        }
    }
}
