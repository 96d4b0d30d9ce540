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
        await Assert.ThrowsAsync<AttentionDeviceException>(() => SchedulerTests.Forward(layer, Fixture.Input(3, 1)).Task);
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
    public async Task The_data_tell_the_queue_and_the_memory()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        gated.Send(2);
        gated.Send(3);
        HealthCheckResult result = await CheckAsync(gated.Service);
        Assert.Equal(HealthStatus.Healthy, result.Status);
        Assert.Equal((2, gated.Device.BytesInUse), (result.Data["queueDepth"], result.Data["memoryInUse"]));
        Assert.NotEqual(0L, gated.Device.BytesInUse);
        await gated.OpenAndAssertRightAsync();
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
