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
        });
        object first = pool.Rent(1000);
        object second = pool.Rent(1000);
        Assert.NotSame(first, second);
        pool.Return(first, allocated[0]);
        Assert.Same(first, pool.Rent(1024));
        Assert.NotSame(second, pool.Rent(1025));
        Assert.Equal([1024, 1024, 1280], allocated);
    }

    [Fact]
    public void Clearing_releases_what_is_free_and_nothing_else()
    {
        var pool = new SizeClassPool<object>(_ => new object());
        object free = pool.Rent(10);
        object used = pool.Rent(10);
        pool.Return(free, SizeClassPool<object>.ClassSize(10));
        List<object> released = [];
        pool.Clear(released.Add);
        Assert.Equal([free], released);
        Assert.NotSame(free, pool.Rent(10));
        Assert.NotNull(used);
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
