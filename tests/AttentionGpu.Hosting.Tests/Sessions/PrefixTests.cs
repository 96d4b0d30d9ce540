using AttentionGpu.Hosting.Sessions;

namespace AttentionGpu.Hosting.Tests.Sessions;

/// <summary>Rows of first steps that later sessions share.</summary>
public class PrefixTests
{
    private const int OutputBytes = Fixture.Embedding * sizeof(float);

    [Fact]
    public async Task A_session_that_begins_like_another_shares_its_pages_and_has_its_outputs()
    {
        using var telemetry = new Telemetry();
        await using var service = new SessionService(Keeping(pages: 32, 1 << 20), meters: telemetry);
        float[] rows = SessionRun.Rows(40);
        SessionRun first = await service.OpenAsync();
        await first.StepAsync(rows);
        int free = service.Sessions.FreePages;

        // All of both pages, and 8 tokens of its own; then a page alone, and a page with other rows behind it.
        SessionRun same = await service.OpenAsync();
        await same.StepAsync(rows, inPlace: true);
        Assert.Equal(free - 1, service.Sessions.FreePages);
        SessionRun whole = await service.OpenAsync();
        await whole.StepAsync(rows[..(32 * Fixture.Embedding)]);
        SessionRun branch = await service.OpenAsync();
        await branch.StepAsync([.. rows[..(20 * Fixture.Embedding)], .. SessionRun.Rows(4)]);
        Assert.Equal(
            ["40 causal, 4 heads", "8 causal, 4 heads", "8 causal, 4 heads"],
            service.Device.Batches.Where(batch => !batch.Contains('+', StringComparison.Ordinal)).Take(3));
        Assert.Equal(40 + 40 + 32 + 24, telemetry.Sum("attention.prefix.tokens"));
        Assert.Equal(1, telemetry.Gauge("attention.prefix.kept"));
        foreach (SessionRun run in (SessionRun[])[first, same, whole, branch])
            await run.StepAsync(3);
        foreach (SessionRun run in (SessionRun[])[first, same, whole, branch])
            await run.Session.CloseAsync();
        Assert.Equal(service.AllPages - 2, service.Sessions.FreePages);
    }

    [Fact]
    public async Task Rows_that_differ_in_one_bit_are_computed()
    {
        await using var service = new SessionService(Keeping(pages: 32, 1 << 20));
        float[] rows = SessionRun.Rows(16);
        SessionRun first = await service.OpenAsync();
        await first.StepAsync(rows);
        rows[^1] = float.BitIncrement(rows[^1]);
        SessionRun second = await service.OpenAsync();
        await second.StepAsync(rows);
        Assert.Equal(2, service.Device.Batches.Count(batch => batch == "16 causal, 4 heads"));
    }

    [Fact]
    public async Task A_session_with_tokens_a_short_step_and_an_option_left_out_share_nothing()
    {
        await using var service = new SessionService(Keeping(pages: 32, 1 << 20));
        float[] rows = SessionRun.Rows(16);
        SessionRun run = await service.OpenAsync();
        await run.StepAsync(1);
        await run.StepAsync(rows);
        SessionRun brief = await service.OpenAsync();
        await brief.StepAsync(rows[..(15 * Fixture.Embedding)]);
        SessionRun fresh = await service.OpenAsync();
        await fresh.StepAsync(rows);
        Assert.Equal(2, service.Device.Batches.Count(batch => batch == "16 causal, 4 heads"));
        await using var without = new SessionService(Keeping(pages: 32, 0));
        SessionRun alone = await without.OpenAsync();
        await alone.StepAsync(rows);
        await without.AssertNothingLeftAsync(alone);
    }

    [Fact]
    public async Task Prefixes_give_way_to_later_ones_and_to_sessions()
    {
        await using var service = new SessionService(Keeping(pages: 4, 2 * 16 * OutputBytes));
        SessionRun run = await service.OpenAsync();
        for (int i = 0; i < 3; i++)
        {
            await run.StepAsync(16);
            await run.RewindAsync(0);
        }

        // Two of the three are kept, as many as outputs may be.
        Assert.Equal(2, service.Sessions.FreePages);
        await run.StepAsync(64);
        await service.AssertNothingLeftAsync(run);
    }

    [Fact]
    public void Hashes_are_of_all_rows_up_to_the_end_of_a_page()
    {
        float[] rows = SessionRun.Rows(10);
        int page = 3 * Fixture.Embedding;
        PrefixHash[] hashes = PrefixHash.Pages<float>(rows, page);
        Assert.Equal(3, hashes.Distinct().Count());
        Assert.Equal(hashes[..2], PrefixHash.Pages<float>(rows.AsSpan(0, 2 * page), page));
        rows[0] = float.BitIncrement(rows[0]);
        Assert.Empty(hashes.Intersect(PrefixHash.Pages<float>(rows, page)));
    }

    private static AttentionCacheOptions Keeping(int pages, long bytes)
    {
        AttentionCacheOptions cache = SessionService.Small(pages);
        cache.PrefixBytes = bytes;
        return cache;
    }
}
