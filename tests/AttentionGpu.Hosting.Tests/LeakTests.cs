using System.Diagnostics.Metrics;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Hosting.Tests;

/// <summary>What cannot be made leaves no memory behind, and disposal gives all of it back whatever fails.</summary>
public class LeakTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("layer")]
    [InlineData("LAYER")]
    public async Task A_layer_of_a_name_that_is_taken_is_never_made(string name)
    {
        var device = new FaultyBackend();
        await using AttentionService service = Fixture.CreateOn(device, new() { Device = "faulty" });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        Assert.Same(layer, service.Layers[name]);
        device.BeforeRent = _ => Assert.Fail("Nothing is to be made.");
        ArgumentException exception = Assert.Throws<ArgumentException>(
            nameof(name), () => service.AddLayer<float>(name, Fixture.OtherConfig, Fixture.OtherWeights));
        Assert.StartsWith($"There is a layer '{name}' already.", exception.Message, StringComparison.Ordinal);
        Assert.Same(layer, Assert.Single(service.Layers).Value);
    }

    [Fact]
    public async Task A_layer_that_finds_too_little_memory_leaves_none_taken()
    {
        var device = new FaultyBackend();
        await using AttentionService service = Fixture.CreateOn(device, new() { Device = "faulty" });
        service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        long before = device.BytesInUse;
        for (int most = 0; most < 4; most++)
        {
            int left = most;
            device.BeforeRent = _ =>
            {
                if (left-- == 0)
                    throw new AttentionMemoryException(3, 2, 1);
            };
            Assert.Throws<AttentionMemoryException>(() => service.AddLayer<float>("other", Fixture.OtherConfig, Fixture.OtherWeights));
            Assert.Equal((before, 1), (device.BytesInUse, service.Layers.Count));
        }
    }

    [Theory]
    [InlineData("KeySize")]
    [InlineData("ValueSize")]
    public async Task A_layer_that_does_not_attend_within_a_sequence_is_refused_when_it_is_added(string size)
    {
        var device = new FaultyBackend();
        await using AttentionService service = Fixture.CreateOn(device, new() { Device = "faulty" });
        MultiHeadAttentionConfig config = size == "KeySize" ? Fixture.Config with { KeySize = 16 } : Fixture.Config with { ValueSize = 16 };
        ArgumentException exception = Assert.Throws<ArgumentException>(
            "config", () => service.AddLayer<float>("cross", config, MultiHeadAttentionWeights.Random(config, seed: 1)));
        Assert.StartsWith($"'{size}' must be 32, the embedding size", exception.Message, StringComparison.Ordinal);
        Assert.Equal((0L, 0), (device.BytesInUse, service.Layers.Count));
        config = Fixture.Config with { KeySize = Fixture.Embedding, ValueSize = Fixture.Embedding };
        IAttentionLayer layer = service.AddLayer<float>("self", config, Fixture.Weights);
        await SchedulerTests.Forward(layer, Fixture.Input(3, 1)).Task;
    }

    [Fact]
    public void A_layer_of_the_options_that_cannot_be_loaded_is_named_and_ends_the_engine()
    {
        var device = new FaultyBackend();
        AttentionEngine? engine = null;
        var options = new AttentionServiceOptions { Device = "faulty" };
        options.Layers["wrong"] = new() { Path = "nowhere.safetensors", Heads = 1 };
        InvalidDataException exception = Assert.Throws<InvalidDataException>(
            () => Fixture.Create(options, (_, _) => engine = new AttentionEngine(device)));
        Assert.StartsWith("The layer 'wrong' cannot be loaded from 'nowhere.safetensors': ", exception.Message, StringComparison.Ordinal);
        Assert.IsType<FileNotFoundException>(exception.InnerException);
        Assert.Throws<ObjectDisposedException>(() => engine!.CreateTensor<float>(1));
    }

    [Fact]
    public void Meters_that_cannot_be_made_end_the_engine()
    {
        AttentionEngine? engine = null;
        Assert.Throws<InvalidOperationException>(() => Fixture.Create(
            new() { Device = "faulty" }, (_, _) => engine = new AttentionEngine(new FaultyBackend()), new NoMeters()));
        Assert.Throws<ObjectDisposedException>(() => engine!.CreateTensor<float>(1));
    }

    [Fact]
    public async Task No_layer_can_be_added_after_disposal()
    {
        var device = new FaultyBackend();
        AttentionService service = Fixture.CreateOn(device, new() { Device = "faulty" });
        await service.DisposeAsync();
        Assert.Throws<ObjectDisposedException>(() => service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights));
        Assert.Equal(0, device.BytesInUse);
    }

    [Fact]
    public async Task Every_caller_of_disposal_waits_until_it_is_done()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        Task first = gated.Service.DisposeAsync().AsTask();
        Task second = gated.Service.DisposeAsync().AsTask();
        Task third = Task.Run(gated.Service.Dispose, Token);
        Assert.Equal((false, false, false), (first.IsCompleted, second.IsCompleted, third.IsCompleted));
        Assert.NotEqual(0, gated.Device.BytesInUse);
        gated.Open();
        await second.WaitAsync(Wait.Patience, Token);
        Assert.Equal(0, gated.Device.BytesInUse);
        await Task.WhenAll(first, third).WaitAsync(Wait.Patience, Token);
    }

    [Fact]
    public async Task Disposal_that_refuses_ends_those_that_wait_before_the_batch_that_runs_has_ended()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { Shutdown = AttentionShutdown.Refuse });
        SentRequest waiting = gated.Send(3);
        Task disposal = gated.Service.DisposeAsync().AsTask();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting.Task);
        Assert.False(disposal.IsCompleted);
        gated.Open();
        await gated.First.AssertRightAsync();
        await disposal.WaitAsync(Wait.Patience, Token);
    }

    [Fact]
    public async Task Disposal_completes_though_the_device_refuses_to_be_given_back()
    {
        var device = new FaultyBackend();
        AttentionEngine? engine = null;
        AttentionService service = Fixture.Create(new() { Device = "faulty" }, (_, _) => engine = new AttentionEngine(device));
        service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        service.AddLayer<float>("other", Fixture.OtherConfig, Fixture.OtherWeights);
        device.BeforeReturn = () => throw new InvalidOperationException("lost");
        await service.DisposeAsync().AsTask().WaitAsync(Wait.Patience, Token);
        Assert.Throws<ObjectDisposedException>(() => engine!.CreateTensor<float>(1));
    }

    private sealed class NoMeters : IMeterFactory
    {
        public Meter Create(MeterOptions options) => throw new InvalidOperationException("no meters");

        public void Dispose()
        {
        }
    }
}
