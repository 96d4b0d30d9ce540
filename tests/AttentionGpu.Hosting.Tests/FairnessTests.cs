using System.Globalization;

namespace AttentionGpu.Hosting.Tests;

/// <summary>What of a service's queue the device sees: clients by name, limits, deadlines.</summary>
public class FairnessTests
{
    private static readonly TimeSpan _deadline = TimeSpan.FromSeconds(3);

    [Fact]
    public async Task A_short_request_of_another_client_goes_before_all_long_ones_that_wait()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { MaxBatchTokens = 64 });
        foreach (int tokens in (int[])[60, 61, 62])
            gated.Send(tokens, client: "busy");
        gated.Send(3, client: "short");
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads", "3, 4 heads", "60, 4 heads", "61, 4 heads", "62, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task Requests_without_a_client_are_one_clients()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { MaxBatchTokens = 64 });
        gated.Send(60);
        gated.Send(62, client: "");
        gated.Send(3);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads", "60, 4 heads", "62, 4 heads", "3, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task A_cancelled_request_gives_its_place_to_another_at_once()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { QueueLimit = 2 });
        using var cancellation = new CancellationTokenSource();
        SentRequest[] cancelled = [gated.SendUntil(3, cancellation.Token), gated.SendUntil(4, cancellation.Token)];
        Assert.Throws<AttentionOverloadedException>(() => gated.Send(5));
        await cancellation.CancelAsync();
        Assert.Equal(0, gated.Service.QueueDepth);
        SentRequest[] taken = [gated.Send(6), gated.Send(7)];
        gated.Open();
        foreach (SentRequest request in taken)
            await request.AssertRightAsync();
        foreach (SentRequest request in cancelled)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request.Task);
        Assert.Equal(["1, 4 heads", "6+7, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task The_queue_is_bounded_by_tokens()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { QueueLimitTokens = 10 });
        gated.Send(4);
        gated.Send(6);
        AttentionOverloadedException exception = Assert.Throws<AttentionOverloadedException>(() => gated.Send(1));
        Assert.Equal(("QueueLimitTokens", 10L), (exception.Option, exception.Limit));
        await gated.OpenAndAssertRightAsync();
        await gated.Send(10).AssertRightAsync();
        ArgumentException larger = Assert.Throws<ArgumentException>("input", () => gated.Send(11));
        Assert.StartsWith(
            "The request has 11 tokens; all that wait may have 10 (QueueLimitTokens).", larger.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_queue_is_bounded_by_bytes_with_those_of_weights()
    {
        const int BytesPerToken = 2 * sizeof(float) * Fixture.Embedding;
        const int WithWeights = (3 * BytesPerToken) + (4 * 3 * 3 * sizeof(float));
        await using GatedService gated = await GatedService.StartAsync(new() { QueueLimitBytes = WithWeights });
        gated.Send(3, weights: true);
        AttentionOverloadedException exception = Assert.Throws<AttentionOverloadedException>(() => gated.Send(1));
        Assert.Equal(("QueueLimitBytes", (long)WithWeights), (exception.Option, exception.Limit));
        await gated.OpenAndAssertRightAsync();
        await gated.Send(3).AssertRightAsync();
        Assert.Throws<ArgumentException>("input", () => gated.Send(4));
        Assert.Throws<ArgumentException>("input", () => gated.Send(4, weights: true));
    }

    [Fact]
    public async Task A_request_ends_at_its_deadline_and_gives_its_place_back()
    {
        using var telemetry = new Telemetry();
        var time = new ManualTime();
        await using GatedService gated = await GatedService.StartAsync(new() { QueueLimit = 2 }, telemetry, time);
        SentRequest late = gated.Send(3, deadline: _deadline);
        SentRequest patient = gated.Send(4, deadline: 2 * _deadline);
        time.Advance(_deadline - TimeSpan.FromTicks(1));
        Assert.Equal(2, gated.Service.QueueDepth);
        time.Advance(TimeSpan.FromTicks(1));
        AttentionDeadlineException exception = await Assert.ThrowsAsync<AttentionDeadlineException>(() => late.Task);
        Assert.Equal(_deadline, exception.Deadline);
        Assert.Equal(1, gated.Service.QueueDepth);
        Assert.Equal(1, telemetry.Sum("attention.requests", "expired"));
        gated.Open();
        await patient.AssertRightAsync();
        Assert.Equal(0, time.Timers);
        Assert.All(late.Output, value => Assert.Equal(0f, value));
        Assert.Equal(["1, 4 heads", "4, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task A_request_that_runs_ends_at_its_deadline_too()
    {
        var time = new ManualTime();
        await using GatedService gated = await GatedService.StartAsync(new() { MaxBatchRequests = 1 }, time: time);
        gated.Device.BeforeAttention = lengths =>
        {
            if (lengths is [3])
                time.Advance(_deadline);
        };
        SentRequest late = gated.Send(3, deadline: _deadline);
        SentRequest after = gated.Send(4);
        gated.Open();
        await Assert.ThrowsAsync<AttentionDeadlineException>(() => late.Task);
        await after.AssertRightAsync();
        Assert.All(late.Output, value => Assert.Equal(0f, value));
    }

    [Theory]
    [InlineData("00:00:00.0000001", true)]
    [InlineData("1.00:00:00", true)]
    [InlineData("00:00:00", false)]
    [InlineData("-00:00:01", false)]
    [InlineData("1.00:00:00.0000001", false)]
    public async Task A_deadline_is_more_than_0_and_at_most_a_day(string deadline, bool isTaken)
    {
        var given = TimeSpan.Parse(deadline, CultureInfo.InvariantCulture);
        await using GatedService gated = await GatedService.StartAsync(new(), time: new ManualTime());
        if (isTaken)
        {
            gated.Send(2, deadline: given);
            await gated.OpenAndAssertRightAsync();
            return;
        }

        Assert.Throws<ArgumentOutOfRangeException>(nameof(deadline), () => gated.Send(2, deadline: given));
    }
}
