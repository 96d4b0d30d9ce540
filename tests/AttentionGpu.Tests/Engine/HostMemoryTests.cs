using AttentionGpu.Memory;

namespace AttentionGpu.Tests.Engine;

/// <summary>Memory of backends that compute on the host, and parts of memory.</summary>
public unsafe class HostMemoryTests
{
    private const int CacheLine = 64;
    private const int LargePage = 2 << 20;

    [Theory]
    [InlineData(1)]
    [InlineData(256)]
    [InlineData(1000)]
    [InlineData(100_000)]
    public void Blocks_start_at_a_cache_line_and_are_apart(int bytes)
    {
        using var pool = new HostMemory("host", long.MaxValue);
        DeviceMemory[] blocks = [.. Enumerable.Range(0, 20).Select(_ => pool.Rent(bytes))];
        for (int i = 0; i < blocks.Length; i++)
        {
            Assert.Equal(bytes, blocks[i].ByteLength);
            Assert.Equal(0, (nint)blocks[i].Pointer<byte>() % CacheLine);
            new Span<byte>(blocks[i].Pointer<byte>(), bytes).Fill((byte)(i + 1));
        }

        for (int i = 0; i < blocks.Length; i++)
            Assert.False(new ReadOnlySpan<byte>(blocks[i].Pointer<byte>(), bytes).ContainsAnyExcept((byte)(i + 1)));
        Assert.Equal(blocks.Length * SizeClassPool<object>.ClassSize(bytes), pool.BytesInUse);
        foreach (DeviceMemory block in blocks)
            pool.Return(block);
        Assert.Equal(0, pool.BytesInUse);

        // Memory that a caller has pinned is not the pool's.
        pool.Return(DeviceMemory.OnHost(null, 1024, 8));
        pool.Return(default);
        Assert.Equal(0, pool.BytesInUse);
    }

    /// <summary>More bytes than an array of them can have: both ends are there. The system commits the pages that are touched.</summary>
    [Theory]
    [InlineData((1L << 30) + 1)]
    [InlineData((1L << 31) + 4096)]
    public void Blocks_may_be_larger_than_an_array(long bytes)
    {
        using var pool = new HostMemory("host", long.MaxValue);
        DeviceMemory block = pool.Rent(bytes);
        if (OperatingSystem.IsLinux())
            Assert.Equal(0, (nint)block.Pointer<byte>() % LargePage);
        block.Pointer<byte>()[0] = 1;
        block.Pointer<byte>()[bytes - 1] = 2;
        Assert.Equal((1, 2), (block.Pointer<byte>()[0], block.Slice<byte>(bytes - 1, 1).Pointer<byte>()[0]));
        pool.Return(block);
        Assert.Equal(0, pool.BytesInUse);
    }

    [Fact]
    public void Blocks_together_stay_within_the_limit()
    {
        using var pool = new HostMemory("host", 1 << 20);
        DeviceMemory half = pool.Rent(1 << 19);
        DeviceMemory quarter = pool.Rent(1 << 18);
        var error = Assert.Throws<AttentionMemoryException>(() => pool.Rent((1 << 18) + 1));
        Assert.Equal((1 << 19) + (1 << 18), error.BytesInUse);
        Assert.True(error.RequestedBytes > 1 << 18);

        // Nothing has changed: another that fits is given.
        DeviceMemory last = pool.Rent(1 << 18);
        Assert.Equal(1 << 20, pool.BytesInUse);
        foreach (DeviceMemory block in new[] { half, quarter, last })
            pool.Return(block);

        // Free blocks give way to one of another size.
        pool.Return(pool.Rent(1 << 20));
        Assert.Equal(0, pool.BytesInUse);
    }

    [Fact]
    public void A_part_lies_within_the_whole()
    {
        DeviceMemory whole = DeviceMemory.OnHost(null, 4096, 40);
        DeviceMemory part = whole.Slice<float>(3, 7);
        Assert.Equal((4096 + 12, 28), ((long)part.Pointer<byte>(), part.ByteLength));
        Assert.Equal(0, whole.Slice<float>(10, 0).ByteLength);
        Assert.Equal(4096 + 16, (long)part.Slice<byte>(4, 24).Pointer<byte>());
        Assert.Throws<ArgumentOutOfRangeException>(() => whole.Slice<float>(3, 8));
        Assert.Throws<ArgumentOutOfRangeException>(() => whole.Slice<float>(11, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => part.Slice<byte>(0, 29));
    }

    [Fact]
    public void Memory_stands_in_for_none()
    {
        DeviceMemory some = DeviceMemory.OnHost(null, 4096, 40);
        Assert.True(some.Exists);
        Assert.False(default(DeviceMemory).Exists);
        Assert.Equal(4096, (long)default(DeviceMemory).Or(some).Pointer<byte>());
        Assert.Equal(4096, (long)some.Or(DeviceMemory.OnHost(null, 8192, 40)).Pointer<byte>());
    }
}
