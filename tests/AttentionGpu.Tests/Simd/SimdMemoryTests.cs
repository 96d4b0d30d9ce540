using System.Collections.Concurrent;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;

namespace AttentionGpu.Tests.Simd;

/// <summary>Memory and objects that calls use again.</summary>
public unsafe class SimdMemoryTests
{
    [Theory]
    [InlineData(99)]
    [InlineData(100)]
    [InlineData(101)]
    public void A_rented_block_is_as_long_as_was_asked_for(long first)
    {
        ConcurrentBag<AlignedMemory> pool = [];
        AlignedMemory memory = AlignedMemory.Rent(pool, first);
        pool.Add(memory);
        AlignedMemory next = AlignedMemory.Rent(pool, 100);
        Assert.True(next.Length >= 100);
        Assert.Empty(pool);
        Assert.Equal(0, (nint)next.Address % 64);

        // One that is long enough is used again.
        Assert.Equal(first >= 100, ReferenceEquals(memory, next));
        next.Dispose();
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

    private sealed class Nothing : ParallelWork
    {
        public override void Work()
        {
        }
    }
}
