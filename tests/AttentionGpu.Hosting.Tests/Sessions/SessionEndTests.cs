namespace AttentionGpu.Hosting.Tests.Sessions;

/// <summary>Steps that do not end well leave their session as it was, and their neighbours alone.</summary>
public class SessionEndTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_step_cancelled_while_it_waits_is_not_computed()
    {
        await using var service = new SessionService(SessionService.Small(pages: 8));
        SessionRun run = await service.OpenAsync();
        await run.StepAsync(5);
        Task held = await service.HoldAsync();
        using var cancellation = new CancellationTokenSource();
        Task cancelled = StepUntil(run, 7, cancellation.Token);
        await Wait.UntilAsync(() => service.Service.QueueDepth == 1);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
        Task next = run.StepAsync(2);
        service.LetGo();
        await Task.WhenAll(held, next);
        Assert.DoesNotContain("7 causal, 4 heads", service.Device.Batches);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public async Task A_step_cancelled_while_it_runs_ends_at_once_and_its_rows_are_taken_back()
    {
        await using var service = new SessionService(SessionService.Small(pages: 8));
        SessionRun run = await service.OpenAsync();
        await run.StepAsync(5);
        int free = service.Sessions.FreePages;
        service.HoldNext();
        using var cancellation = new CancellationTokenSource();
        Task cancelled = StepUntil(run, 40, cancellation.Token);
        await service.ReachedAsync();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
        Task<SessionRun> fork = run.ForkAsync();
        Task next = run.StepAsync(2);
        service.LetGo();
        await next;
        Assert.Contains("40 causal, 4 heads", service.Device.Batches);
        Assert.Equal(free - 1, service.Sessions.FreePages);
        await (await fork).StepAsync(1);
        await service.AssertNothingLeftAsync(run, await fork);
    }

    [Fact]
    public async Task The_pages_of_a_step_cancelled_between_its_parts_are_free_without_another_step()
    {
        AttentionCacheOptions cache = SessionService.Small(pages: 8);
        cache.ChunkTokens = 32;
        await using var service = new SessionService(cache);
        SessionRun run = await service.OpenAsync();
        using var cancellation = new CancellationTokenSource();
        int parts = 0;
        service.Device.BeforeAttention = _ =>
        {
            if (++parts == 2)
                cancellation.Cancel();
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => StepUntil(run, 100, cancellation.Token));
        await run.RewindAsync(0);
        Assert.Equal((2, service.AllPages), (parts, service.Sessions.FreePages));
        await run.StepAsync(3);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public async Task A_step_that_waits_for_its_turn_can_be_cancelled_and_those_behind_it_run()
    {
        await using var service = new SessionService(SessionService.Small(pages: 8));
        SessionRun run = await service.OpenAsync();
        Task held = await service.HoldAsync();
        float[] first = SessionRun.Rows(2);
        var output = new float[first.Length];
        Task running = run.Session.StepAsync<float>(first, output, cancellationToken: Token);
        using var cancellation = new CancellationTokenSource();
        Task cancelled = StepUntil(run, 3, cancellation.Token);
        float[] last = SessionRun.Rows(4);
        var lastOutput = new float[last.Length];
        Task behind = run.Session.StepAsync<float>(last, lastOutput, cancellationToken: Token);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
        service.LetGo();
        await Task.WhenAll(held, running, behind);
        run.Add(first);
        run.Add(last);
        run.AssertRight(6 * Fixture.Embedding, [.. output, .. lastOutput]);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public async Task Closing_ends_what_runs_and_what_waits()
    {
        await using var service = new SessionService(SessionService.Small(pages: 8));
        SessionRun run = await service.OpenAsync();
        SessionRun other = await service.OpenAsync();
        Task held = await service.HoldAsync();
        Task[] steps = [StepUntil(run, 2, Token), StepUntil(run, 1, Token)];
        Task neighbour = other.StepAsync(3);
        await Wait.UntilAsync(() => service.Service.QueueDepth == 2);
        Task closed = run.Session.CloseAsync();
        foreach (Task step in steps)
            await Assert.ThrowsAsync<AttentionSessionEndedException>(() => step);
        service.LetGo();
        await Task.WhenAll(held, neighbour, closed);
        await service.AssertNothingLeftAsync(other);
    }

    [Fact]
    public async Task Closing_a_session_whose_step_is_on_the_device_spoils_no_neighbour()
    {
        await using var service = new SessionService(SessionService.Small(pages: 8));
        SessionRun run = await service.OpenAsync();
        SessionRun other = await service.OpenAsync();
        Task held = await service.HoldAsync();
        Task step = StepUntil(run, 2, Token);
        Task neighbour = other.StepAsync(3);
        await Wait.UntilAsync(() => service.Service.QueueDepth == 2);
        Task? closed = null;
        service.Device.BeforeAttention = lengths =>
        {
            if (lengths.Length == 2)
                closed = run.Session.CloseAsync();
        };
        service.LetGo();
        await Task.WhenAll(held, neighbour);
        await Assert.ThrowsAsync<AttentionSessionEndedException>(() => step);
        await closed!;
        await other.StepAsync(1);
        await service.AssertNothingLeftAsync(other);
    }

    [Fact]
    public async Task A_batch_that_fails_is_tried_again_step_by_step()
    {
        await using var service = new SessionService(SessionService.Small(pages: 16));
        SessionRun[] runs = [await service.OpenAsync(), await service.OpenAsync(), await service.OpenAsync()];
        foreach (SessionRun run in runs)
            await run.StepAsync(4);
        Task held = await service.HoldAsync();
        service.Device.FailOn(7);
        Task good = runs[0].StepAsync(2);
        Task bad = StepUntil(runs[1], 7, Token);
        Task last = runs[2].StepAsync(3);
        await Wait.UntilAsync(() => service.Service.QueueDepth == 3);
        service.LetGo();
        await Task.WhenAll(held, good, last);
        await Assert.ThrowsAsync<AttentionDeviceException>(() => bad);
        await runs[1].StepAsync(1);
        await service.AssertNothingLeftAsync(runs);
    }

    [Fact]
    public async Task A_deadline_ends_a_step_that_waits_and_one_whose_turn_has_not_come()
    {
        var time = new ManualTime();
        await using var service = new SessionService(SessionService.Small(pages: 8), time: time);
        SessionRun run = await service.OpenAsync();
        Task held = await service.HoldAsync();
        var options = new StepOptions { Deadline = TimeSpan.FromSeconds(3) };
        Task[] steps =
            [.. Enumerable.Range(0, 2).Select(_ => run.Session.StepAsync<float>(SessionRun.Rows(2), default, options, Token))];
        await Wait.UntilAsync(() => service.Service.QueueDepth == 1 && time.Timers == 2);
        time.Advance(TimeSpan.FromSeconds(3));
        foreach (Task step in steps)
        {
            AttentionDeadlineException late = await Assert.ThrowsAsync<AttentionDeadlineException>(() => step);
            Assert.Equal(TimeSpan.FromSeconds(3), late.Deadline);
        }

        service.LetGo();
        await held;
        await run.StepAsync(1);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public async Task A_session_that_nobody_uses_is_closed_and_one_that_is_used_is_not()
    {
        var time = new ManualTime();
        AttentionCacheOptions cache = SessionService.Small(pages: 8);
        cache.IdleTimeout = TimeSpan.FromMinutes(5);
        await using var service = new SessionService(cache, time: time);
        SessionRun idle = await service.OpenAsync();
        SessionRun used = await service.OpenAsync();
        await idle.StepAsync(20);
        time.Advance(TimeSpan.FromMinutes(3));
        await used.StepAsync(1);
        await Wait.UntilAsync(() => !used.Session.IsBusy);
        time.Advance(TimeSpan.FromMinutes(2));
        await Wait.UntilAsync(() => service.Sessions.Count == 1);
        AttentionSessionEndedException ended = await Assert.ThrowsAsync<AttentionSessionEndedException>(() => idle.StepAsync(1));
        Assert.Contains("IdleTimeout", ended.Message, StringComparison.Ordinal);
        await used.StepAsync(2);
        await service.AssertNothingLeftAsync(used);
    }

    [Fact]
    public async Task A_session_whose_step_takes_long_is_not_idle()
    {
        var time = new ManualTime();
        await using var service = new SessionService(SessionService.Small(pages: 8), time: time);
        SessionRun run = await service.OpenAsync();
        Task held = await service.HoldAsync();
        Task step = run.StepAsync(2);
        time.Advance(TimeSpan.FromHours(1));
        service.LetGo();
        await Task.WhenAll(held, step);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public async Task A_service_that_shuts_down_ends_its_sessions()
    {
        var service = new SessionService(SessionService.Small(pages: 8));
        SessionRun run = await service.OpenAsync();
        await run.StepAsync(3);
        await service.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => run.StepAsync(1));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => run.ForkAsync());
        await run.Session.CloseAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => service.OpenAsync());
    }

    [Fact]
    public async Task Sessions_move_with_the_service_to_another_device()
    {
        AttentionCacheOptions cache = SessionService.Small(pages: 8);
        cache.WhenFull = AttentionCachePolicy.Spill;
        await using var service = new SessionService(cache, new() { FallbackDevice = "simd" });
        SessionRun[] runs = [await service.OpenAsync(), await service.OpenAsync(), await service.OpenAsync()];
        foreach (SessionRun run in runs)
            await run.StepAsync(60);
        Assert.Equal(1, service.Sessions.Spilled);
        service.Device.FailOn(3);
        await runs[1].StepAsync(3);
        Assert.Equal((true, 1), (service.Service.UsesFallback, service.Sessions.Spilled));
        foreach (SessionRun run in runs)
            await run.StepAsync(2);
        await service.AssertNothingLeftAsync(runs);
    }

    [Fact]
    public async Task Sessions_whose_rows_cannot_be_moved_end_and_the_others_go_on()
    {
        // Two forks share pages; without them they need more than there are.
        await using var service = new SessionService(SessionService.Small(pages: 8), new() { FallbackDevice = "simd" });
        SessionRun run = await service.OpenAsync();
        await run.StepAsync(96);
        SessionRun fork = await run.ForkAsync();
        service.Device.FailOn(1);
        await fork.StepAsync(1);
        AttentionSessionEndedException ended = await Assert.ThrowsAsync<AttentionSessionEndedException>(() => run.StepAsync(1));
        Assert.Contains("another device", ended.Message, StringComparison.Ordinal);
        await fork.StepAsync(2);
        await service.AssertNothingLeftAsync(fork);
    }

    private static Task StepUntil(SessionRun run, int tokens, CancellationToken cancellationToken)
    {
        float[] rows = SessionRun.Rows(tokens);
        return run.Session.StepAsync<float>(rows, new float[rows.Length], cancellationToken: cancellationToken)
            .WaitAsync(Wait.Patience, CancellationToken.None);
    }
}
