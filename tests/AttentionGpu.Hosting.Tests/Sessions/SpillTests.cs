namespace AttentionGpu.Hosting.Tests.Sessions;

/// <summary>Sessions that move to host memory while others need theirs.</summary>
public class SpillTests
{
    private const int RowBytes = 2 * Fixture.Embedding * sizeof(float);

    [Fact]
    public async Task The_session_used_longest_ago_moves_and_comes_back_with_its_next_step()
    {
        await using var service = new SessionService(Spilling(pages: 4));
        SessionRun[] runs = [await service.OpenAsync(), await service.OpenAsync(), await service.OpenAsync()];
        await runs[0].StepAsync(20);
        await runs[1].StepAsync(20);
        await runs[0].StepAsync(1);
        await runs[2].StepAsync(30);
        Assert.Equal([false, true, false], runs.Select(run => run.Session.IsSpilled));
        Assert.Equal((1, 20L * RowBytes), (service.Sessions.Spilled, service.Sessions.SpilledBytes));
        await runs[1].StepAsync(2);
        Assert.Equal([true, false, false], runs.Select(run => run.Session.IsSpilled));
        await service.AssertNothingLeftAsync(runs);
    }

    [Fact]
    public async Task A_session_in_host_memory_can_be_rewound_forked_and_closed()
    {
        await using var service = new SessionService(Spilling(pages: 4));
        SessionRun first = await service.OpenAsync();
        await first.StepAsync(40);
        SessionRun second = await service.OpenAsync();
        await second.StepAsync(50);
        Assert.True(first.Session.IsSpilled);
        await first.RewindAsync(10);
        SessionRun fork = await first.ForkAsync(7);
        Assert.True(second.Session.IsSpilled);
        await fork.StepAsync(3);
        await first.StepAsync(3);
        await second.StepAsync(1);
        await service.AssertNothingLeftAsync(first, second, fork);
    }

    [Fact]
    public async Task Host_memory_has_a_limit_and_what_does_not_fit_is_refused()
    {
        AttentionCacheOptions cache = Spilling(pages: 4);
        cache.HostMemoryBytes = 20 * RowBytes;
        await using var service = new SessionService(cache);
        SessionRun[] runs = [await service.OpenAsync(), await service.OpenAsync(), await service.OpenAsync()];
        await runs[0].StepAsync(20);
        await runs[1].StepAsync(30);
        await runs[2].StepAsync(30);
        Assert.Equal(20L * RowBytes, service.Sessions.SpilledBytes);
        AttentionCacheFullException full = await Assert.ThrowsAsync<AttentionCacheFullException>(() => runs[2].StepAsync(3));
        Assert.Contains($"0 of {20 * RowBytes} bytes (HostMemoryBytes)", full.Message, StringComparison.Ordinal);
        await runs[2].StepAsync(2);
        await runs[1].Session.CloseAsync();
        await runs[0].StepAsync(1);
        Assert.Equal(0, service.Sessions.SpilledBytes);
        await service.AssertNothingLeftAsync(runs[0], runs[2]);
    }

    [Fact]
    public async Task More_sessions_than_there_is_memory_for_take_turns_in_it()
    {
        await using var service = new SessionService(Spilling(pages: 8));
        SessionRun[] runs = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => service.OpenAsync()));
        for (int turn = 0; turn < 3; turn++)
            await Task.WhenAll(runs.Select(run => run.StepAsync(12)));
        Assert.NotEqual(0, service.Sessions.Spilled);
        await service.AssertNothingLeftAsync(runs);
    }

    private static AttentionCacheOptions Spilling(int pages)
    {
        AttentionCacheOptions cache = SessionService.Small(pages);
        cache.WhenFull = AttentionCachePolicy.Spill;
        return cache;
    }
}
