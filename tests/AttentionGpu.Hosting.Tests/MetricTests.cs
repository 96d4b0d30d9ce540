using System.Diagnostics;
using OpenTelemetry.Metrics;

namespace AttentionGpu.Hosting.Tests;

/// <summary>Values and units of metrics.</summary>
public class MetricTests
{
    private const int BytesPerToken = 2 * sizeof(float) * Fixture.Embedding;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Instruments_have_their_kinds_units_and_the_name_of_the_service()
    {
        using var telemetry = new Telemetry();
        await using AttentionService service = Fixture.Create(new() { Device = "simd" }, meters: telemetry, name: "measured");
        await SchedulerTests.Forward(service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights), Fixture.Input(2, 1)).Task;
        await telemetry.UntilBatchesAsync(1);
        IReadOnlyDictionary<string, MetricSnapshot> metrics = telemetry.Read();
        Assert.Equal(
            [
                ("attention.batch.size", MetricType.Histogram, "{request}"),
                ("attention.bytes", MetricType.LongSum, "By"),
                ("attention.device.memory", MetricType.LongGauge, "By"),
                ("attention.device.time", MetricType.Histogram, "s"),
                ("attention.fallback", MetricType.LongGauge, ""),
                ("attention.queue.depth", MetricType.LongGauge, "{request}"),
                ("attention.queue.wait", MetricType.Histogram, "s"),
                ("attention.requests", MetricType.LongSum, "{request}"),
            ],
            metrics.Values.Select(metric => (metric.Name, metric.MetricType, metric.Unit)).Order());
        Assert.All(
            metrics.Values.SelectMany(metric => metric.MetricPoints),
            point => Assert.Equal("measured", Telemetry.Tag(point, "attention.service")));
    }

    [Fact]
    public async Task Bytes_are_those_of_inputs_and_outputs_of_completed_requests()
    {
        using var telemetry = new Telemetry();
        await using GatedService gated = await GatedService.StartAsync(new(), telemetry);
        gated.Device.FailOn(7);
        gated.Send(2);
        gated.Send(3);
        await gated.OpenAndAssertRightAsync();
        await telemetry.UntilBatchesAsync(2);
        Assert.Equal((1 + 2 + 3) * BytesPerToken, telemetry.Sum("attention.bytes"));
        Assert.Equal((2, 1 + 2), telemetry.Histogram("attention.batch.size"));
        await Assert.ThrowsAsync<AttentionDeviceException>(() => gated.Send(7).Task);
        await gated.Send(4).AssertRightAsync();
        await telemetry.UntilBatchesAsync(3);
        Assert.Equal((1 + 2 + 3 + 4) * BytesPerToken, telemetry.Sum("attention.bytes"));
    }

    [Fact]
    public async Task Times_are_in_seconds()
    {
        using var telemetry = new Telemetry();
        var all = Stopwatch.StartNew();
        await using GatedService gated = await GatedService.StartAsync(new(), telemetry);
        SentRequest waiting = gated.Send(2);
        var closed = Stopwatch.StartNew();
        await Task.Delay(50, Token);
        double least = closed.Elapsed.TotalSeconds;
        gated.Open();
        await gated.First.AssertRightAsync();
        await waiting.AssertRightAsync();
        await telemetry.UntilBatchesAsync(2);
        double most = all.Elapsed.TotalSeconds;

        // The first request was on the device while the gate was closed, and the second in the queue.
        (long batches, double device) = telemetry.Histogram("attention.device.time");
        (long requests, double wait) = telemetry.Histogram("attention.queue.wait");
        Assert.Equal((2, 2), (batches, requests));
        Assert.InRange(device, least, most);
        Assert.InRange(wait, least, 2.0 * most);
    }

    [Fact]
    public async Task Each_request_is_counted_once_by_its_outcome()
    {
        using var telemetry = new Telemetry();
        await using GatedService gated = await GatedService.StartAsync(
            new() { QueueLimit = 3, MaxBatchRequests = 1, Shutdown = AttentionShutdown.Refuse }, telemetry);
        gated.Device.FailOn(7);
        using var cancellation = new CancellationTokenSource();
        SentRequest completed = gated.Send(2);
        SentRequest failed = gated.Send(7);
        SentRequest cancelled = gated.SendUntil(3, cancellation.Token);
        for (int i = 0; i < 2; i++)
            Assert.Throws<AttentionOverloadedException>(() => gated.Send(4));
        AssertOutcomes(telemetry, ("overloaded", 2));
        await cancellation.CancelAsync();
        AssertOutcomes(telemetry, ("cancelled", 1), ("overloaded", 2));
        gated.Open();
        await gated.First.AssertRightAsync();
        await completed.AssertRightAsync();
        await Assert.ThrowsAsync<AttentionDeviceException>(() => failed.Task);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.Task);
        AssertOutcomes(telemetry, ("cancelled", 1), ("completed", 2), ("failed", 1), ("overloaded", 2));
    }

    [Fact]
    public async Task Requests_that_a_shutdown_refuses_are_counted()
    {
        using var telemetry = new Telemetry();
        await using GatedService gated = await GatedService.StartAsync(new() { Shutdown = AttentionShutdown.Refuse }, telemetry);
        SentRequest[] refused = [gated.Send(2), gated.Send(3)];
        ValueTask disposal = gated.Service.DisposeAsync();
        gated.Open();
        await gated.First.AssertRightAsync();
        foreach (SentRequest request in refused)
            await Assert.ThrowsAsync<ObjectDisposedException>(() => request.Task);
        await disposal;
        AssertOutcomes(telemetry, ("completed", 1), ("refused", 2));
    }

    [Fact]
    public async Task Gauges_show_the_queue_the_memory_and_the_fallback()
    {
        using var telemetry = new Telemetry();
        await using GatedService gated = await GatedService.StartAsync(new() { FallbackDevice = "simd" }, telemetry);
        gated.Send(2);
        gated.Send(3);
        Assert.Equal(2, telemetry.Gauge("attention.queue.depth"));
        Assert.Equal(gated.Device.BytesInUse, telemetry.Gauge("attention.device.memory"));
        Assert.NotEqual(0, gated.Device.BytesInUse);
        Assert.Equal(0, telemetry.Gauge("attention.fallback"));
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(0, telemetry.Gauge("attention.queue.depth"));
        gated.Device.BeforeAttention = _ => throw new InvalidOperationException("lost");
        await gated.Send(4).AssertRightAsync();
        Assert.Equal(1, telemetry.Gauge("attention.fallback"));
    }

    [Fact]
    public async Task Histograms_have_bounds_of_use()
    {
        using var telemetry = new Telemetry();
        await using AttentionService service = Fixture.Create(new() { Device = "simd" }, meters: telemetry);
        await SchedulerTests.Forward(service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights), Fixture.Input(2, 1)).Task;
        await telemetry.UntilBatchesAsync(1);
        foreach (string times in (string[])["attention.queue.wait", "attention.device.time"])
        {
            double[] bounds = telemetry.Bounds(times);
            Assert.Equal((1e-5, 10.0), (bounds[0], bounds[^1]));

            // No time is told less exactly than within a factor of 2.5.
            Assert.All(bounds.Zip(bounds[1..]), pair => Assert.InRange(pair.Second / pair.First, 1.9, 2.6));
        }

        Assert.Equal([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0], telemetry.Bounds("attention.batch.size"));
    }

    private static void AssertOutcomes(Telemetry telemetry, params (string Outcome, int Count)[] expected)
    {
        MetricSnapshot? requests = telemetry.Read().GetValueOrDefault("attention.requests");
        IEnumerable<(string, int)> counted = (requests?.MetricPoints ?? [])
            .Select(point => ((string)Telemetry.Tag(point, "attention.outcome")!, (int)point.GetSumLong()));
        Assert.Equal(expected, counted.Order());
    }
}
