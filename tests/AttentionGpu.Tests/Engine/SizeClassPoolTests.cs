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

        // The block that is in use was not released, so it can still come back and serve again.
        Assert.NotSame(free, pool.Rent(10));
        pool.Return(used, SizeClassPool<object>.ClassSize(10));
        Assert.Same(used, pool.Rent(10));
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
        Assert.NotSame(first, pool.Rent(1280));
        Assert.Equal([first], released);
        Assert.Equal(1280, pool.BytesInUse);
    }

    [Fact]
    public void A_failed_allocation_counts_for_nothing()
    {
        bool fails = true;
        var pool = new SizeClassPool<object>(_ => fails ? throw new InvalidOperationException() : new object(), _ => { }, limit: 1024);
        Assert.Throws<InvalidOperationException>(() => pool.Rent(1024));
        Assert.Equal(0, pool.BytesInUse);

        // All of the limit is still there to be had.
        fails = false;
        pool.Rent(1024);
        Assert.Equal(1024, pool.BytesInUse);
    }

    [Theory]
    [InlineData(1024, 1024, true)]
    [InlineData(1024, 1023, false)]
    [InlineData(1025, 1280, true)]
    [InlineData(1025, 1279, false)]
    [InlineData(1, 256, true)]
    [InlineData(1, 255, false)]
    public void The_limit_itself_may_be_used_up(long request, long limit, bool fits)
    {
        var pool = new SizeClassPool<object>(_ => new object(), _ => { }, limit);
        Exception? exception = Record.Exception(() => pool.Rent(request));
        Assert.Equal(fits, exception is null);
        Assert.Equal(fits ? limit : 0, pool.BytesInUse);
    }

    [Theory]
    [InlineData(0, 256)]
    [InlineData(1, 256)]
    [InlineData(256, 256)]
    [InlineData(257, 320)]
    [InlineData(320, 320)]
    [InlineData(321, 384)]
    [InlineData(512, 512)]
    [InlineData(513, 640)]
    [InlineData((1L << 40) + 1, 5L << 38)]
    public void A_power_of_two_has_four_classes(long request, long size) => Assert.Equal(size, SizeClassPool<object>.ClassSize(request));

    [Fact]
    public void Blocks_that_are_kept_stay_where_there_is_room_besides()
    {
        List<object> released = [];
        var pool = new SizeClassPool<object>(_ => new object(), released.Add, limit: 2048);
        object kept = pool.Rent(512);
        pool.Return(kept, 512);
        pool.Rent(1536);
        Assert.Empty(released);
        Assert.Same(kept, pool.Rent(512));
        Assert.Equal(2048, pool.BytesInUse);
    }

    [Fact]
    public void Blocks_that_are_kept_give_way_to_one_that_needs_their_room()
    {
        // 3,072 of 4,096 bytes are kept in blocks that are too small, and 1,024 are in use.
        List<object> released = [];
        var pool = new SizeClassPool<object>(_ => new object(), released.Add, limit: 4096);
        object used = pool.Rent(1024);
        object[] kept = [pool.Rent(1024), pool.Rent(512), pool.Rent(512), pool.Rent(1024)];
        foreach ((object block, long size) in kept.Zip([1024L, 512, 512, 1024]))
            pool.Return(block, size);
        pool.Rent(3072);
        Assert.Equal(kept.ToHashSet(), released.ToHashSet());
        Assert.Equal(kept.Length, released.Count);
        Assert.Equal(4096, pool.BytesInUse);
        Assert.Throws<AttentionMemoryException>(() => pool.Rent(1));
        pool.Return(used, 1024);
        Assert.Same(used, pool.Rent(1024));
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

    [Theory]
    [InlineData((1L << 60) + 1)]
    [InlineData(long.MaxValue)]
    public void A_length_whose_class_would_wrap_is_refused(long byteLength)
    {
        var pool = new SizeClassPool<object>(_ => new object(), _ => { });
        pool.Return(pool.Rent(256), 256);
        AttentionMemoryException exception = Assert.Throws<AttentionMemoryException>(() => pool.Rent(byteLength));
        Assert.Equal(byteLength, exception.RequestedBytes);
        Assert.Equal(0, pool.BytesInUse);
    }
}
