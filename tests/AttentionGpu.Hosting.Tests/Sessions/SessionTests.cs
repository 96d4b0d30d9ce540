namespace AttentionGpu.Hosting.Tests.Sessions;

/// <summary>What sessions compute, alone and beside others.</summary>
public class SessionTests
{
    private const int Turns = 30;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(KeyValueCacheKind.Paged, AttentionCachePolicy.Refuse, 0)]
    [InlineData(KeyValueCacheKind.Paged, AttentionCachePolicy.Spill, 40)]
    [InlineData(KeyValueCacheKind.Contiguous, AttentionCachePolicy.Refuse, 0)]
    [InlineData(KeyValueCacheKind.Contiguous, AttentionCachePolicy.Spill, 4)]
    public async Task Random_steps_forks_and_rewinds_of_many_sessions_give_what_each_would_alone(
        KeyValueCacheKind kind, AttentionCachePolicy policy, int room)
    {
        const int Clients = 6;
        const int Capacity = 160;
        bool isPaged = kind == KeyValueCacheKind.Paged;
        int rowBytes = 2 * Fixture.Embedding * sizeof(float);
        var cache = new AttentionCacheOptions
        {
            Kind = kind,
            PageSize = isPaged ? 16 : null,
            Capacity = Capacity,
            Sessions = 2 * Clients,
            ChunkTokens = 13,
            WhenFull = policy,
            MemoryBytes = room == 0 ? null : (long)room * rowBytes * (isPaged ? 16 : Capacity),
        };
        await using var service = new SessionService(cache, new() { MaxBatchTokens = 64 });
        int seed = Random.Shared.Next();
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(client => Task.Run(
            async () =>
            {
                var random = new Random(seed + client);
                SessionRun run = await service.OpenAsync($"{client % 3}");
                for (int i = 0; i < Turns; i++)
                {
                    if (random.Next(5) == 0)
                    {
                        SessionRun fork = await run.ForkAsync(random.Next(run.Tokens + 1));
                        SessionRun left = random.Next(2) == 0 ? fork : run;
                        run = left == fork ? run : fork;
                        await left.StepAsync(Math.Min(random.Next(3), Capacity - left.Tokens));
                        await left.Session.CloseAsync();
                    }

                    if (random.Next(5) == 0)
                        await run.RewindAsync(random.Next(run.Tokens + 1));
                    int tokens = random.Next(3) == 0 ? random.Next(40) : random.Next(3);
                    await run.StepAsync(SessionRun.Rows(Math.Min(tokens, Capacity - run.Tokens)), inPlace: random.Next(2) == 0);
                }

                await run.Session.CloseAsync();
            },
            Token)));
        await service.AssertNothingLeftAsync();
    }

    [Fact]
    public async Task Steps_that_wait_are_joined_and_those_that_share_pages_stand_together()
    {
        await using var service = new SessionService(SessionService.Small(pages: 64));
        SessionRun[] runs = [await service.OpenAsync(), await service.OpenAsync(), await service.OpenAsync()];
        foreach (SessionRun run in runs)
            await run.StepAsync(17);
        SessionRun[] all = [.. runs, await runs[0].ForkAsync(16), await runs[1].ForkAsync(3)];
        Task held = await service.HoldAsync();
        int[] tokens = [1, 2, 3, 4, 5];
        Task[] steps = [.. all.Select((run, i) => run.StepAsync(tokens[i]))];
        await Wait.UntilAsync(() => service.Service.QueueDepth == 5);
        service.LetGo();
        await Task.WhenAll([held, .. steps]);
        Assert.Contains("1+4+2+5+3 causal, 4 heads", service.Device.Batches);
        await service.AssertNothingLeftAsync(all);
    }

    [Fact]
    public async Task A_long_step_runs_in_parts_and_others_run_between_them()
    {
        AttentionCacheOptions cache = SessionService.Small(pages: 64);
        cache.ChunkTokens = 10;
        await using var service = new SessionService(cache, new() { MaxBatchTokens = 10 });
        SessionRun[] runs = [await service.OpenAsync("a"), await service.OpenAsync("b")];
        Task held = await service.HoldAsync();
        Task[] steps = [runs[0].StepAsync(25), runs[1].StepAsync(1)];
        await Wait.UntilAsync(() => service.Service.QueueDepth == 2);
        service.LetGo();
        await Task.WhenAll([held, .. steps]);
        string[] batches = service.Device.Batches;
        Assert.Equal(["1 causal, 4 heads", "10 causal, 4 heads", "10 causal, 4 heads", "5 causal, 4 heads"], batches.Skip(1));
        await service.AssertNothingLeftAsync(runs);
    }

    [Fact]
    public async Task A_step_without_an_output_adds_its_rows()
    {
        await using var service = new SessionService(SessionService.Small(pages: 8));
        SessionRun run = await service.OpenAsync();
        float[] rows = SessionRun.Rows(20);
        await run.Session.StepAsync<float>(rows, default, cancellationToken: Token);
        run.Add(rows);
        await run.StepAsync(2);
        await run.Session.StepAsync<float>(default, default, cancellationToken: Token);
        Assert.Equal(22, run.Session.Length);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public async Task Steps_of_one_session_run_in_the_order_of_their_calls()
    {
        await using var service = new SessionService(SessionService.Small(pages: 8));
        SessionRun run = await service.OpenAsync();
        Task held = await service.HoldAsync();
        float[][] rows = [SessionRun.Rows(3), SessionRun.Rows(1), SessionRun.Rows(2)];
        float[][] outputs = [.. rows.Select(row => new float[row.Length])];
        Task[] steps = [.. rows.Select((row, i) => run.Session.StepAsync<float>(row, outputs[i], cancellationToken: Token))];
        service.LetGo();
        await Task.WhenAll([held, .. steps]);
        foreach (float[] row in rows)
            run.Add(row);
        run.AssertRight(6 * Fixture.Embedding, [.. outputs.SelectMany(output => output)]);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public async Task Sessions_are_found_by_their_id_until_they_are_closed()
    {
        await using var service = new SessionService(SessionService.Small(pages: 8));
        SessionRun run = await service.OpenAsync("alice");
        Assert.Same(run.Session, service.Sessions.Find(run.Session.Id));
        Assert.Equal(
            (32, "alice", false, "layer"), (run.Session.Id.Length, run.Session.Client, run.Session.IsClosed, run.Session.Layer.Name));
        Assert.Null(service.Sessions.Find("other"));
        await run.Session.CloseAsync();
        Assert.Null(service.Sessions.Find(run.Session.Id));
        Assert.True(run.Session.IsClosed);
        await run.Session.DisposeAsync();
        AttentionSessionEndedException ended = await Assert.ThrowsAsync<AttentionSessionEndedException>(() => run.StepAsync(1));
        Assert.Contains("closed", ended.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<AttentionSessionEndedException>(() => run.ForkAsync());
        await Assert.ThrowsAsync<AttentionSessionEndedException>(() => run.RewindAsync(0));
    }

    [Fact]
    public async Task Warming_up_leaves_no_session()
    {
        await using var service = new SessionService(SessionService.Small(pages: 8));
        await service.Service.WarmUpAsync(Token);
        Assert.Contains("16 causal, 4 heads", service.Device.Batches);
        await service.AssertNothingLeftAsync();
    }
}
