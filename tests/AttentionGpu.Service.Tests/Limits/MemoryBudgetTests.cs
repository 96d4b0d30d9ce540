using Microsoft.AspNetCore.Http;

namespace AttentionGpu.Service.Tests.Limits;

/// <summary>The memory of all requests: what one may have, what is kept for short ones, and that all comes back.</summary>
public class MemoryBudgetTests
{
    private const int Small = MemoryBudget.SmallBytes;

    // A quarter, 4 times the small part, is for the first bytes of leases.
    private readonly MemoryBudget _budget = new(new ServiceLimits { MaxMemoryBytes = 16 * Small });

    [Theory]
    [InlineData(null)]
    [InlineData(1L)]
    [InlineData(Small + 1L)]
    public void A_lease_may_have_all_but_what_is_kept_for_short_requests(long? bodyBytes)
    {
        using MemoryLease lease = _budget.Open(bodyBytes);
        lease.Grow(12 * Small);
        BadHttpRequestException refusal = Assert.Throws<BadHttpRequestException>(() => lease.Grow(1));
        Assert.Equal(413, refusal.StatusCode);
        Assert.Equal(12 * Small, _budget.UsedBytes);
    }

    [Fact]
    public void Long_requests_leave_room_for_short_ones()
    {
        using MemoryLease first = _budget.Open(Small + 1);
        using MemoryLease second = _budget.Open(Small + 1);
        first.Grow(8 * Small);
        second.Grow(4 * Small);
        BusyException refusal = Assert.Throws<BusyException>(() => second.Grow(1));
        Assert.Equal($"Requests hold as much memory as they may: MaxMemoryBytes is {16 * Small}. Try again later.", refusal.Message);
        using MemoryLease known = _budget.Open(Small);
        using MemoryLease unknown = _budget.Open(bodyBytes: null);
        known.Grow(Small);
        Assert.Throws<BusyException>(() => known.Grow(1));
        unknown.Grow(Small);
        using MemoryLease third = _budget.Open(1);
        third.Grow(Small);
        using MemoryLease fourth = _budget.Open(1);
        fourth.Grow(Small);
        Assert.Equal(16 * Small, _budget.UsedBytes);
        using MemoryLease fifth = _budget.Open(1);
        Assert.Throws<BusyException>(() => fifth.Grow(1));
    }

    [Fact]
    public void A_refused_lease_is_as_it_was_and_may_grow_when_there_is_room()
    {
        using MemoryLease first = _budget.Open(bodyBytes: null);
        first.Grow(11 * Small);
        using (MemoryLease second = _budget.Open(bodyBytes: null))
        {
            second.Grow(Small / 2);

            // The first half would still fit into the small part.
            Assert.Throws<BusyException>(() => second.Grow(4 * Small));
            Assert.Equal(11 * Small + Small / 2, _budget.UsedBytes);
            first.Shrink(6 * Small);
            second.Grow(4 * Small);
            second.Shrink(Small);
        }

        Assert.Equal(5 * Small, _budget.UsedBytes);
        first.Dispose();
        first.Dispose();
        Assert.Equal(0, _budget.UsedBytes);
    }

    [Fact]
    public void Arrays_are_charged_until_they_are_disposed()
    {
        using MemoryLease lease = _budget.Open(bodyBytes: null);
        using var small = new RequestArray<float>(lease, 100);
        using var large = new RequestArray<Half>(lease, Small);
        Assert.Equal((100, Small), (small.Memory.Length, large.Memory.Length));
        Assert.Equal(400 + 2 * Small, _budget.UsedBytes);
        large.Dispose();
        large.Dispose();
        Assert.Equal(400, _budget.UsedBytes);
        Assert.Throws<BadHttpRequestException>(() => new RequestArray<float>(lease, long.MaxValue / 8));
    }

    [Fact]
    public async Task Leases_of_many_threads_are_all_counted()
    {
        await Task.WhenAll(Enumerable.Range(0, 4).Select(thread => Task.Run(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                using MemoryLease lease = _budget.Open(bodyBytes: null);
                try
                {
                    lease.Grow(Small / 2);
                    lease.Grow((i + thread) % 8 * Small);
                }
                catch (BusyException)
                {
                    // The others have it.
                }
            }
        })));
        Assert.Equal(0, _budget.UsedBytes);
    }

    [Fact]
    public void Memory_is_returned_twice_after_long_requests_and_not_while_one_is_there()
    {
        var budget = new MemoryBudget(new ServiceLimits());
        using var memory = new MemoryReturn(budget);
        using MemoryLease lease = budget.Open(bodyBytes: null);
        lease.Grow(Small);
        lease.Shrink(Small);
        Assert.False(memory.TryReturn());
        lease.Grow(100 << 20);
        Assert.False(memory.TryReturn());
        lease.Shrink(99 << 20);
        Assert.False(memory.TryReturn());
        lease.Shrink(1 << 20);
        Assert.Equal(
            [true, false, false, false, true, false, false, false, false, false], Enumerable.Range(0, 10).Select(_ => memory.TryReturn()));
    }
}
