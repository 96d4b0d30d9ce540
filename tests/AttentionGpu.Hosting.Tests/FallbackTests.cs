using AttentionGpu.Tests.Support;
using Microsoft.Extensions.Logging;

namespace AttentionGpu.Hosting.Tests;

/// <summary>A batch that fails is tried again request by request, and the service moves only after a single request failed.</summary>
public class FallbackTests
{
    [Fact]
    public async Task A_batch_that_fails_is_tried_again_request_by_request_on_the_same_device()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { FallbackDevice = "simd" });
        gated.Device.BeforeAttention = lengths =>
        {
            if (lengths.Length > 1)
                throw new InvalidOperationException("lost");
        };
        foreach (int tokens in (int[])[2, 3, 4])
            gated.Send(tokens);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads", "2+3+4, 4 heads", "2, 4 heads", "3, 4 heads", "4, 4 heads"], gated.Device.Batches);
        Assert.Equal((false, "faulty"), (gated.Service.UsesFallback, gated.Service.Device.Name));
    }

    [Fact]
    public async Task The_request_that_fails_alone_moves_the_service_and_is_served_there()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { FallbackDevice = "simd" });
        gated.Device.FailOn(7);
        foreach (int tokens in (int[])[2, 7, 3])
            gated.Send(tokens);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads", "2+7+3, 4 heads", "2, 4 heads", "7, 4 heads"], gated.Device.Batches);
        Assert.Equal((true, "simd"), (gated.Service.UsesFallback, gated.Service.Device.Name));
        await gated.Send(5, gated.Other).AssertRightAsync();
    }

    [Fact]
    public async Task A_request_cancelled_while_its_batch_fails_is_not_tried_again()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        using var cancellation = new CancellationTokenSource();
        gated.Device.BeforeAttention = lengths =>
        {
            if (lengths.Length == 1)
                return;
            cancellation.Cancel();
            throw new InvalidOperationException("lost");
        };
        SentRequest before = gated.Send(2);
        SentRequest cancelled = gated.SendUntil(3, cancellation.Token);
        SentRequest after = gated.Send(4);
        gated.Open();
        await before.AssertRightAsync();
        await after.AssertRightAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.Task);
        Assert.Equal(["1, 4 heads", "2+3+4, 4 heads", "2, 4 heads", "4, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task Without_a_fallback_the_device_stays()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        gated.Device.FailOn(7);
        SentRequest failing = gated.Send(7);
        gated.Open();
        AttentionDeviceException exception = await Assert.ThrowsAsync<AttentionDeviceException>(() => failing.Task);
        Assert.Equal(("faulty", "lost"), (exception.Device, exception.InnerException?.Message));
        Assert.Contains("faulty", exception.Message, StringComparison.Ordinal);
        Assert.Contains("lost", exception.Message, StringComparison.Ordinal);
        Assert.All(failing.Output, value => Assert.Equal(0f, value));
        Assert.Equal((false, "faulty"), (gated.Service.UsesFallback, gated.Service.Device.Name));
        await gated.Send(5).AssertRightAsync();
    }

    [Fact]
    public async Task Too_little_memory_does_not_move_the_service()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { FallbackDevice = "simd" });
        gated.Device.BeforeAttention = lengths =>
        {
            if (lengths.Contains(7))
                throw new AttentionMemoryException(3, 2, 1);
        };
        SentRequest failing = gated.Send(7);
        gated.Open();
        AttentionMemoryException exception = await Assert.ThrowsAsync<AttentionMemoryException>(() => failing.Task);
        Assert.Equal((3L, 2L), (exception.RequestedBytes, exception.BytesInUse));
        await gated.Send(5).AssertRightAsync();
        Assert.Equal((false, "faulty"), (gated.Service.UsesFallback, gated.Service.Device.Name));
    }

    [Fact]
    public async Task A_fallback_that_cannot_be_made_leaves_the_device()
    {
        var device = new FaultyBackend();
        device.FailOn(7);
        await using AttentionService service = Fixture.Create(
            new() { Device = "faulty", FallbackDevice = "other" },
            (name, _) => name == "faulty" ? new AttentionEngine(device) : throw new InvalidOperationException("there is no other"));
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        await Assert.ThrowsAsync<AttentionDeviceException>(() => SchedulerTests.Forward(layer, Fixture.Input(7, 1)).Task);
        Assert.Equal((false, "faulty"), (service.UsesFallback, service.Device.Name));
        await SchedulerTests.Forward(layer, Fixture.Input(6, 1)).Task;
    }

    [Fact]
    public async Task A_fallback_that_fails_stays_and_its_failures_are_logged()
    {
        List<(string Name, AttentionEngineOptions Options)> made = [];
        List<AttentionEngine> engines = [];
        var log = new CollectedLog();
        await using AttentionService service = Fixture.Create(
            new() { Device = "first", FallbackDevice = "second", Threads = 1, MemoryLimitBytes = 1 << 20 },
            (name, options) =>
            {
                made.Add((name, options));
                engines.Add(new AttentionEngine(new FaultyBackend { BeforeAttention = _ => throw new InvalidOperationException("lost") }));
                return engines[^1];
            },
            logger: log);
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        for (int i = 0; i < 3; i++)
            await Assert.ThrowsAsync<AttentionDeviceException>(() => SchedulerTests.Forward(layer, Fixture.Input(2, i)).Task);
        Assert.True(service.UsesFallback);
        var options = new AttentionEngineOptions { Threads = 1, MemoryLimitBytes = 1 << 20 };
        Assert.Equal([("first", options), ("second", options)], made);
        Assert.Throws<ObjectDisposedException>(() => engines[0].CreateTensor<float>(1));
        Assert.Equal([LogLevel.Information, LogLevel.Error, LogLevel.Warning, LogLevel.Error, LogLevel.Error, LogLevel.Error], log.Levels);
    }
}
