namespace AttentionGpu.Hosting.Tests.Sessions;

/// <summary>The metrics of sessions.</summary>
public class SessionMetricTests
{
    [Fact]
    public async Task Sessions_memory_tokens_and_intervals_are_measured()
    {
        var time = new ManualTime();
        using var telemetry = new Telemetry();
        AttentionCacheOptions cache = SessionService.Small(pages: 4);
        cache.WhenFull = AttentionCachePolicy.Spill;
        await using var service = new SessionService(cache, meters: telemetry, time: time);
        Assert.Equal(4 * 16 * 2 * 32 * 4, telemetry.Gauge("attention.cache.bytes"));
        Assert.Equal((4, 0), (telemetry.Gauge("attention.cache.pages.free"), telemetry.Gauge("attention.sessions.open")));
        SessionRun first = await service.OpenAsync();
        await first.StepAsync(20);
        time.Advance(TimeSpan.FromSeconds(3));
        await first.StepAsync(2);
        SessionRun second = await service.OpenAsync();
        await second.StepAsync(40);
        Assert.Equal(
            (1, 2, 1, 22L * 2 * 32 * 4),
            (telemetry.Gauge("attention.cache.pages.free"), telemetry.Gauge("attention.sessions.open"),
                telemetry.Gauge("attention.sessions.spilled"), telemetry.Gauge("attention.cache.spilled")));
        Assert.Equal(62, telemetry.Sum("attention.session.tokens"));
        Assert.Equal((1, 3.0), telemetry.Histogram("attention.session.interval"));
        Assert.Equal(3, telemetry.Sum("attention.requests", "completed"));
    }
}
