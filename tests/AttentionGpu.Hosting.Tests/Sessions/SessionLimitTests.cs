namespace AttentionGpu.Hosting.Tests.Sessions;

/// <summary>What is refused, and that a refusal changes nothing.</summary>
public class SessionLimitTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Memory_that_is_full_refuses_a_step_by_name_and_its_neighbours_run()
    {
        await using var service = new SessionService(SessionService.Small(pages: 4));
        SessionRun large = await service.OpenAsync();
        SessionRun small = await service.OpenAsync();
        await large.StepAsync(40);
        await small.StepAsync(3);
        Task held = await service.HoldAsync();
        Task tooMuch = large.Session.StepAsync<float>(SessionRun.Rows(30), default, cancellationToken: Token);
        Task fits = small.StepAsync(2);
        await Wait.UntilAsync(() => service.Service.QueueDepth == 2);
        service.LetGo();
        await Task.WhenAll(held, fits);
        AttentionCacheFullException full = await Assert.ThrowsAsync<AttentionCacheFullException>(() => tooMuch);
        Assert.Equal("layer", full.Layer);
        Assert.Contains("2 pages of 16 rows are needed; 0 of the cache's 4 are free", full.Missing, StringComparison.Ordinal);
        await large.StepAsync(8);
        await small.Session.CloseAsync();
        await large.StepAsync(16);
        await service.AssertNothingLeftAsync(large);
    }

    [Fact]
    public async Task A_session_takes_as_many_tokens_as_its_capacity()
    {
        AttentionCacheOptions cache = SessionService.Small(pages: 8);
        cache.Capacity = 20;
        await using var service = new SessionService(cache);
        SessionRun run = await service.OpenAsync();
        await run.StepAsync(19);
        AttentionCacheFullException full = await Assert.ThrowsAsync<AttentionCacheFullException>(
            () => run.Session.StepAsync<float>(SessionRun.Rows(2), default, cancellationToken: Token));
        Assert.Contains("the session has 19 tokens, and 2 more do not fit: Capacity is 20", full.Message, StringComparison.Ordinal);
        await run.StepAsync(1);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public async Task As_many_sessions_are_open_as_may_be_of_all_and_of_a_client()
    {
        AttentionCacheOptions cache = SessionService.Small(pages: 8, sessions: 3);
        cache.SessionsPerClient = 2;
        await using var service = new SessionService(cache);
        SessionRun first = await service.OpenAsync("a");
        SessionRun fork = await first.ForkAsync();
        await AssertFullAsync(() => service.OpenAsync("a"), "SessionsPerClient is 2");
        await AssertFullAsync(() => first.ForkAsync(), "SessionsPerClient is 2");
        SessionRun other = await service.OpenAsync("b");
        await AssertFullAsync(() => service.OpenAsync("c"), "Sessions is 3");
        await fork.Session.CloseAsync();
        SessionRun next = await service.OpenAsync("a");
        await service.AssertNothingLeftAsync(first, other, next);

        static async Task AssertFullAsync(Func<Task> act, string missing)
        {
            AttentionCacheFullException full = await Assert.ThrowsAsync<AttentionCacheFullException>(act);
            Assert.Contains(missing, full.Missing, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Wrong_arguments_are_refused_and_change_nothing()
    {
        AttentionCacheOptions cache = SessionService.Small(pages: 32);
        await using var service = new SessionService(cache, new() { QueueLimitBytes = 200 * 2 * Fixture.Embedding * sizeof(float) });
        SessionRun run = await service.OpenAsync();
        await run.StepAsync(4);
        AttentionSession session = run.Session;
        AssertRefused("must hold rows of 32", () => session.StepAsync<float>(new float[33], default, cancellationToken: Token));
        AssertRefused(
            "as long as the input, 32, or empty", () => session.StepAsync<float>(new float[32], new float[64], cancellationToken: Token));
        AssertRefused("takes Single", () => session.StepAsync<Half>(new Half[32], default, cancellationToken: Token));
        AssertRefused("at most 256 tokens", () => session.StepAsync<float>(new float[257 * 32], default, cancellationToken: Token));
        AssertRefused("QueueLimitBytes", () => session.StepAsync<float>(new float[201 * 32], default, cancellationToken: Token));
        AssertRefused("more than 0", () => session.StepAsync<float>(new float[32], default, new() { Deadline = TimeSpan.Zero }, Token));
        AssertRefused("Start must be at least 0", () => session.StepAsync<float>(new float[32], default, new() { Start = -1 }, Token));
        foreach (int length in (int[])[-1, 5])
        {
            ArgumentException rewind = await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => session.RewindAsync(length, Token));
            Assert.Contains($"'length' must be 0 to the session's length, 4; it is {length}", rewind.Message, StringComparison.Ordinal);
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => session.ForkAsync(length, Token));
        }

        await run.StepAsync(1);
        await service.AssertNothingLeftAsync(run);

        static void AssertRefused(string rule, Func<Task> act) =>
            Assert.Contains(rule, Assert.ThrowsAny<ArgumentException>(() => { _ = act(); }).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_step_for_a_session_of_another_length_is_refused_when_its_turn_comes()
    {
        await using var service = new SessionService(SessionService.Small(pages: 8));
        SessionRun run = await service.OpenAsync();
        Task held = await service.HoldAsync();
        float[] rows = SessionRun.Rows(3);
        var output = new float[rows.Length];
        Task first = run.Session.StepAsync<float>(rows, output, new() { Start = 0 }, Token);
        Task again = run.Session.StepAsync<float>(rows, output, new() { Start = 0 }, Token);
        service.LetGo();
        await Task.WhenAll(held, first);
        AttentionSessionLengthException refused = await Assert.ThrowsAsync<AttentionSessionLengthException>(() => again);
        Assert.Equal((3, 0), (refused.Length, refused.Wanted));
        run.Add(rows);
        run.AssertRight(rows.Length, output);
        await run.Session.StepAsync<float>(default, default, new() { Start = 3 }, Token);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public async Task As_many_operations_of_a_session_are_under_way_as_may_be()
    {
        AttentionCacheOptions cache = SessionService.Small(pages: 8);
        cache.OperationsPerSession = 2;
        await using var service = new SessionService(cache);
        SessionRun run = await service.OpenAsync();
        Task held = await service.HoldAsync();
        Task[] steps =
            [.. Enumerable.Range(0, 2).Select(_ => run.Session.StepAsync<float>(SessionRun.Rows(1), default, cancellationToken: Token))];
        AttentionOverloadedException refused = await Assert.ThrowsAsync<AttentionOverloadedException>(
            () => run.Session.RewindAsync(0, Token));
        Assert.Equal(("OperationsPerSession", 2L), (refused.Option, refused.Limit));
        service.LetGo();
        await Task.WhenAll([held, .. steps]);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public async Task A_full_queue_refuses_a_step_but_not_the_rest_of_one_that_has_begun()
    {
        AttentionCacheOptions cache = SessionService.Small(pages: 16);
        cache.ChunkTokens = 4;
        await using var service = new SessionService(cache, new() { QueueLimit = 1 });
        SessionRun run = await service.OpenAsync();
        SessionRun other = await service.OpenAsync();
        Task held = await service.HoldAsync();
        Task step = run.StepAsync(13);
        await Wait.UntilAsync(() => service.Service.QueueDepth == 1);
        await Assert.ThrowsAsync<AttentionOverloadedException>(() => other.StepAsync(1));
        service.LetGo();
        await Task.WhenAll(held, step);
        await other.StepAsync(1);
        await service.AssertNothingLeftAsync(run, other);
    }

    [Fact]
    public async Task The_memory_budget_makes_as_many_pages_as_fit()
    {
        // A token takes a key and a value of 32 numbers.
        const int PageBytes = 16 * 2 * 32 * 4;
        var cache = new AttentionCacheOptions { PageSize = 16, MemoryBytes = 5 * PageBytes + PageBytes / 2 };
        await using (var service = new SessionService(cache))
            Assert.Equal((5, 5L * PageBytes), (service.Sessions.FreePages, service.Sessions.CacheBytes));
        var whole = new AttentionCacheOptions { Kind = KeyValueCacheKind.Contiguous, Capacity = 32, MemoryBytes = 7 * PageBytes };
        await using (var service = new SessionService(whole))
            Assert.Equal((3, 6L * PageBytes), (service.Sessions.FreePages, service.Sessions.CacheBytes));
        cache.MemoryBytes = PageBytes - 1;
        ArgumentException small = Assert.Throws<ArgumentException>(() => new SessionService(cache));
        Assert.Contains($"MemoryBytes must be at least {PageBytes}, a page", small.Message, StringComparison.Ordinal);
    }
}
