using AttentionGpu.Tests.Support;

namespace AttentionGpu.Hosting.Tests;

/// <summary>What a disposed service leaves behind.</summary>
public class LifetimeTests
{
    [Fact]
    public async Task A_disposed_service_gives_its_memory_back_and_ends_its_metrics()
    {
        using var telemetry = new Telemetry();
        var device = new FaultyBackend();
        AttentionService service = Fixture.CreateOn(device, new() { Device = "faulty" }, telemetry);
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        service.AddLayer<float>("other", Fixture.OtherConfig, Fixture.OtherWeights);
        Assert.NotEqual(0, device.BytesInUse);
        Assert.Contains("attention.queue.depth", telemetry.Read().Keys);
        await service.DisposeAsync();
        Assert.Equal(0, device.BytesInUse);

        // The first reading may still have the last values.
        telemetry.Read();
        Assert.Empty(telemetry.Read());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => SchedulerTests.Forward(layer, Fixture.Input(2, 1)).Task);
        await service.DisposeAsync();
    }

    [Fact]
    public async Task Disposal_ends_the_wait_for_others_and_answers_the_request()
    {
        AttentionService service = Fixture.Create(new() { Device = "simd", BatchDelay = TimeSpan.FromHours(1) });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        float[] input = Fixture.Input(3, 1);
        (Task task, float[] output) = SchedulerTests.Forward(layer, input);
        await service.DisposeAsync().AsTask().WaitAsync(Wait.Patience, TestContext.Current.CancellationToken);
        await task;
        Close.Assert(Fixture.Expected(input), output, "output");
    }
}
