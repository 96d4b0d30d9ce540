using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace AttentionGpu.Hosting.Tests;

/// <summary>The health check compares with the reference to 1e-4.</summary>
public class HealthTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_right_device_is_healthy_and_the_fallback_is_degraded()
    {
        var device = new FaultyBackend();
        await using AttentionService service = Fixture.CreateOn(device, new() { Device = "faulty", FallbackDevice = "simd" });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        HealthCheckResult result = await CheckAsync(service);
        Assert.Equal((HealthStatus.Healthy, "faulty"), (result.Status, result.Data["device"]));
        Assert.Contains("faulty", result.Description, StringComparison.Ordinal);
        device.BeforeLinear = () => throw new InvalidOperationException("lost");
        await SchedulerTests.Forward(layer, Fixture.Input(3, 1)).Task;
        result = await CheckAsync(service);
        Assert.Equal((HealthStatus.Degraded, "simd"), (result.Status, result.Data["device"]));
        Assert.Contains("simd", result.Description, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0.0, 1.2e-4f)]
    [InlineData(0.0, -1.2e-4f)]
    [InlineData(0.5, 1.2e-4f)]
    [InlineData(1.0, -1.2e-4f)]
    [InlineData(1.0, float.PositiveInfinity)]
    [InlineData(0.25, float.NaN)]
    public async Task One_wrong_element_is_unhealthy(double place, float difference)
    {
        await using AttentionService service = CreateWrong(place, difference);
        HealthCheckResult result = await CheckAsync(service);
        Assert.Equal(HealthStatus.Unhealthy, result.Status);
        Assert.Equal("faulty", result.Data["device"]);
        Assert.Contains("faulty", result.Description, StringComparison.Ordinal);
        Assert.Null(result.Exception);
    }

    [Theory]
    [InlineData(0.0, 0.8e-4f)]
    [InlineData(1.0, -0.8e-4f)]
    public async Task A_difference_within_the_tolerance_is_healthy(double place, float difference)
    {
        await using AttentionService service = CreateWrong(place, difference);
        Assert.Equal(HealthStatus.Healthy, (await CheckAsync(service)).Status);
    }

    [Fact]
    public async Task A_device_that_fails_is_unhealthy()
    {
        var lost = new InvalidOperationException("lost");
        await using AttentionService service = Fixture.CreateOn(
            new FaultyBackend { BeforeAttention = _ => throw lost }, new() { Device = "faulty", FallbackDevice = "simd" });
        HealthCheckResult result = await CheckAsync(service);
        Assert.Equal((HealthStatus.Unhealthy, "faulty"), (result.Status, result.Data["device"]));
        Assert.Same(lost, result.Exception);
        Assert.False(service.UsesFallback);
    }

    [Fact]
    public async Task A_disposed_service_is_unhealthy()
    {
        AttentionService service = Fixture.Create(new() { Device = "simd" });
        await service.DisposeAsync();
        HealthCheckResult result = await CheckAsync(service);
        Assert.Equal(HealthStatus.Unhealthy, result.Status);
        Assert.IsType<ObjectDisposedException>(result.Exception);
    }

    [Fact]
    public async Task A_check_waits_for_the_batch_that_runs_and_comes_before_those_that_wait()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        gated.Device.BeforeAttention = lengths =>
        {
            // The health check's own problem: two heads of one sequence. The requests still wait then.
            if (lengths is [12])
                Assert.Equal(2, gated.Service.QueueDepth);
        };
        gated.Send(2);
        gated.Send(3);
        Task<HealthCheckResult> check = CheckAsync(gated.Service);
        Assert.False(check.IsCompleted);
        await gated.OpenAndAssertRightAsync();
        HealthCheckResult result = await check;
        Assert.Equal(HealthStatus.Healthy, result.Status);
        Assert.Equal(0, result.Data["queueDepth"]);
        Assert.Equal(["1, 4 heads", "12 causal, 2 heads", "2+3, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task Checks_at_the_same_time_share_one_answer()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        Task<HealthCheckResult>[] checks = [.. Enumerable.Range(0, 5).Select(_ => CheckAsync(gated.Service))];
        gated.Open();
        Assert.NotEqual(0L, gated.Device.BytesInUse);
        Assert.All(await Task.WhenAll(checks), result =>
        {
            Assert.Equal(HealthStatus.Healthy, result.Status);
            Assert.Equal(gated.Device.BytesInUse, result.Data["memoryInUse"]);
        });
        Assert.Equal(["1, 4 heads", "12 causal, 2 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task A_device_that_does_not_come_back_is_unhealthy_after_the_time_limit()
    {
        var time = new ManualTime();
        await using GatedService gated = await GatedService.StartAsync(new() { HealthTimeout = TimeSpan.FromSeconds(2) }, time: time);
        Task<HealthCheckResult> check = CheckAsync(gated.Service);
        time.Advance(TimeSpan.FromSeconds(2) - TimeSpan.FromTicks(1));
        Assert.False(check.IsCompleted);
        time.Advance(TimeSpan.FromTicks(1));
        HealthCheckResult result = await check.WaitAsync(Wait.Patience, Token);
        Assert.Equal(HealthStatus.Unhealthy, result.Status);
        Assert.IsType<TimeoutException>(result.Exception);
        Assert.Contains("in time", result.Description, StringComparison.Ordinal);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(HealthStatus.Healthy, (await CheckAsync(gated.Service)).Status);
    }

    [Fact]
    public async Task A_check_is_not_refused_by_a_full_queue_and_can_be_cancelled()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { QueueLimit = 1 });
        gated.Send(2);
        using var cancellation = new CancellationTokenSource();
        Task<HealthCheckResult> cancelled =
            new AttentionHealthCheck(gated.Service).CheckHealthAsync(new HealthCheckContext(), cancellation.Token);
        Task<HealthCheckResult> check = CheckAsync(gated.Service);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(HealthStatus.Healthy, (await check).Status);
    }

    [Fact]
    public async Task A_check_that_waits_when_the_service_is_disposed_is_unhealthy()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        Task<HealthCheckResult> check = CheckAsync(gated.Service);
        Task disposal = gated.Service.DisposeAsync().AsTask();
        HealthCheckResult result = await check.WaitAsync(Wait.Patience, Token);
        Assert.Equal(HealthStatus.Unhealthy, result.Status);
        Assert.IsType<ObjectDisposedException>(result.Exception);
        gated.Open();
        await disposal;
    }

    private static Task<HealthCheckResult> CheckAsync(AttentionService service) =>
        new AttentionHealthCheck(service).CheckHealthAsync(new HealthCheckContext(), Token);

    private static AttentionService CreateWrong(double place, float difference) =>
        Fixture.CreateOn(new FaultyBackend { AfterAttention = buffers => Add(buffers, place, difference) }, new() { Device = "faulty" });

    // The place is 0 at the first element, and 1 at the last.
    private static unsafe void Add(AttentionBuffers buffers, double place, float difference)
    {
        long last = (buffers.Output.ByteLength / sizeof(float)) - 1;
        buffers.Output.Pointer<float>()[(long)(place * last)] += difference;
    }
}
