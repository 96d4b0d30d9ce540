using AttentionGpu.Memory;

namespace AttentionGpu.Tests.Engine;

public class SizeClassPoolTests
{
    [Fact]
    public void A_returned_block_serves_the_next_request_of_its_class()
    {
        List<long> allocated = [];
        var pool = new SizeClassPool<object>(size =>
        {
            allocated.Add(size);
            return new object();
        }, _ => { });
        object first = pool.Rent(1000);
        object second = pool.Rent(1000);
        Assert.NotSame(first, second);
        pool.Return(first, allocated[0]);
        Assert.Same(first, pool.Rent(1024));
        Assert.NotSame(second, pool.Rent(1025));
        Assert.Equal([1024, 1024, 1280], allocated);
    }

    [Theory]
    [InlineData(2049, 1024, false)]
    [InlineData(1024, 1024, true)]
    [InlineData(1000, 1280, true)]
    [InlineData(1000, 1792, true)]
    [InlineData(1000, 2048, false)]
    [InlineData(60 << 20, 64 << 20, true)]
    [InlineData(80 << 20, 80 << 20, true)]
    [InlineData(80 << 20, 96 << 20, false)]
    public void A_free_block_serves_less_than_it_holds_but_more_than_half(long request, long free, bool serves)
    {
        var pool = new SizeClassPool<object>(_ => new object(), _ => { });
        object block = pool.Rent(free);
        pool.Return(block, free);
        Assert.Equal(serves, pool.Rent(request) == block);
        long inUse = serves ? free : SizeClassPool<object>.ClassSize(request);
        Assert.Equal(inUse, pool.BytesInUse);
    }

    [Theory]
    [InlineData(long.MaxValue, 1024, 1280, 2048)]
    [InlineData(2048, 1024, 1280, 2048)]
    [InlineData(2047, 1024, 1280, 1280)]
    [InlineData(long.MaxValue, 640, 1280, 1280)]
    [InlineData(long.MaxValue, 80 << 20, 96 << 20, 96 << 20)]
    public void A_free_block_that_is_too_small_gives_way_to_one_for_the_next_length_too(long limit, long small, long request, long allocated)
    {
        List<object> released = [];
        long last = 0;
        var pool = new SizeClassPool<object>(
            size =>
            {
                last = size;
                return new object();
            }, released.Add, limit);
        object first = pool.Rent(small);
        pool.Return(first, small);
        pool.Rent(request);
        Assert.Equal(allocated, last);
        Assert.Equal(allocated, pool.BytesInUse);
        Assert.Equal(2 * small > request && request < 64 << 20 ? [first] : [], released);
    }

    [Fact]
    public void Ever_new_sizes_keep_few_blocks()
    {
        const int largest = 1 << 20;
        long kept = 0;
        var pool = new SizeClassPool<long[]>(size =>
        {
            kept += size;
            return [size];
        }, block => kept -= block[0]);
        var random = new Random(1);
        for (int i = 0; i < 10_000; i++)
        {
            long[] first = pool.Rent(random.Next(1, largest + 1));
            long[] second = pool.Rent(random.Next(1, largest + 1));
            pool.Return(first, first[0]);
            pool.Return(second, second[0]);
        }

        // Two to each doubling, and the next doubling is half of it.
        Assert.InRange(kept, largest, 2 * 2 * largest);
    }

    [Fact]
    public void Clearing_releases_what_is_free_and_nothing_else()
    {
        List<object> released = [];
        var pool = new SizeClassPool<object>(_ => new object(), released.Add);
        object free = pool.Rent(10);
        object used = pool.Rent(10);
        pool.Return(free, SizeClassPool<object>.ClassSize(10));
        pool.Clear();
        Assert.Equal([free], released);
        Assert.NotSame(free, pool.Rent(10));
        Assert.NotNull(used);
    }

    [Fact]
    public void The_limit_holds_for_what_is_in_use_and_what_is_kept()
    {
        List<object> released = [];
        var pool = new SizeClassPool<object>(_ => new object(), released.Add, limit: 2047);
        object first = pool.Rent(1024);
        AttentionMemoryException exception = Assert.Throws<AttentionMemoryException>(() => pool.Rent(1025));
        Assert.Equal((1280, 1024), (exception.RequestedBytes, exception.BytesInUse));
        pool.Return(first, 1024);
        Assert.Equal(0, pool.BytesInUse);
        Assert.NotNull(pool.Rent(1280));
        Assert.Equal([first], released);
        Assert.Equal(1280, pool.BytesInUse);
    }

    [Fact]
    public void A_failed_allocation_counts_for_nothing()
    {
        bool fails = true;
        var pool = new SizeClassPool<object>(_ => fails ? throw new InvalidOperationException() : new object(), _ => { }, limit: 1024);
        Assert.Throws<InvalidOperationException>(() => pool.Rent(1024));
        fails = false;
        Assert.NotNull(pool.Rent(1024));
    }

    [Fact]
    public void Classes_hold_their_requests_and_waste_a_fifth_at_most()
    {
        for (long request = 1; request < 1L << 40; request = request * 9 / 8 + 1)
        {
            long size = SizeClassPool<object>.ClassSize(request);
            Assert.InRange(size, Math.Max(request, 256), Math.Max(request * 5 / 4, 256));
            Assert.Equal(size, SizeClassPool<object>.ClassSize(size));
        }
    }
}
