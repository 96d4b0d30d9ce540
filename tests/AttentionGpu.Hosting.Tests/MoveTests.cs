using AttentionGpu.Tests.Support;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace AttentionGpu.Hosting.Tests;

/// <summary>Moves to the fallback and back: when, with which parameters, and with nothing left behind.</summary>
public class MoveTests
{
    private static readonly Exception _lost = new InvalidOperationException("lost");

    private readonly Dictionary<string, List<FaultyBackend>> _devices = new() { ["first"] = [], ["second"] = [] };
    private readonly ManualTime _time = new();
    private bool _firstIsLost;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private FaultyBackend First => _devices["first"][^1];

    private FaultyBackend Second => _devices["second"][^1];

    public static TheoryData<Type> Mistakes =>
    [
        typeof(ArgumentException), typeof(ArgumentOutOfRangeException), typeof(NotSupportedException), typeof(OverflowException),
        typeof(IndexOutOfRangeException), typeof(OutOfMemoryException), typeof(InsufficientMemoryException),
        typeof(ObjectDisposedException),
    ];

    [Theory]
    [MemberData(nameof(Mistakes))]
    public async Task What_another_device_would_not_serve_either_moves_nothing(Type mistake)
    {
        await using AttentionService service = Create();
        IAttentionLayer layer = Add(service);
        Exception thrown = mistake == typeof(ObjectDisposedException)
            ? new ObjectDisposedException("engine")
            : (Exception)Activator.CreateInstance(mistake)!;
        First.BeforeAttention = lengths =>
        {
            if (lengths is [7])
                throw thrown;
        };
        Exception? exception = await Record.ExceptionAsync(() => SchedulerTests.Forward(layer, Fixture.Input(7, 1)).Task);
        if (thrown is OutOfMemoryException)
            Assert.Same(thrown, Assert.IsType<AttentionMemoryException>(exception).InnerException);
        else
            Assert.Same(thrown, exception);
        await AssertAnswersAsync(layer);
        Assert.Equal((false, 1, 0), (service.UsesFallback, _devices["first"].Count, _devices["second"].Count));
    }

    [Fact]
    public async Task An_error_of_a_driver_among_several_moves_the_service()
    {
        await using AttentionService service = Create();
        IAttentionLayer layer = Add(service);
        First.BeforeAttention = _ => throw new AggregateException(new ArgumentException("wrong"), _lost);
        await AssertAnswersAsync(layer);
        Assert.True(service.UsesFallback);
    }

    [Fact]
    public async Task A_layer_of_a_checkpoint_moves_without_its_file()
    {
        AttentionServiceOptions options = Options();
        AttentionService service;
        using (var disk = new FailingDisk())
        {
            options.Layers["layer"] = new() { Path = disk.Write(Fixture.Weights), Heads = 4 };
            service = Create(options);
        }

        await using (service)
        {
            await AssertAnswersAsync(service.Layers["layer"]);
            _firstIsLost = true;
            await AssertAnswersAsync(service.Layers["layer"]);
            Assert.True(service.UsesFallback);
            _firstIsLost = false;
            Assert.True(await service.ReturnFromFallbackAsync(Token));
            await AssertAnswersAsync(service.Layers["LAYER"]);
            Assert.False(service.UsesFallback);
        }
    }

    [Fact]
    public async Task A_move_that_fails_halfway_leaves_nothing_behind_and_can_be_tried_again()
    {
        await using AttentionService service = Create();
        IAttentionLayer layer = Add(service);
        IAttentionLayer other = service.AddLayer<float>("other", Fixture.OtherConfig, Fixture.OtherWeights);
        int rents = 0;
        int mostRents = 3;
        Prepare = (name, device) => device.BeforeRent = _ =>
        {
            if (name == "second" && rents++ == mostRents)
                throw new AttentionMemoryException(3, 2, 1);
        };
        First.FailOn(7);
        for (int i = 1; i <= 3; i++)
        {
            rents = 0;
            await Assert.ThrowsAsync<AttentionDeviceException>(() => SchedulerTests.Forward(layer, Fixture.Input(7, i)).Task);
            Assert.Equal((false, i, 0L), (service.UsesFallback, _devices["second"].Count, Second.BytesInUse));
            await AssertAnswersAsync(layer);
            float[] input = Fixture.Input(6, i);
            (Task task, float[] output) = SchedulerTests.Forward(other, input);
            await task;
            Close.Assert(Fixture.ExpectedOfOther(input), output, "output");
        }

        mostRents = -1;
        await AssertAnswersAsync(layer, 7);
        Assert.True(service.UsesFallback);
        Assert.Equal(0, First.BytesInUse);
    }

    [Fact]
    public async Task The_service_goes_back_when_the_device_works_again()
    {
        await using AttentionService service = Create();
        IAttentionLayer layer = Add(service);
        Assert.True(await service.ReturnFromFallbackAsync(Token));
        _firstIsLost = true;
        await AssertAnswersAsync(layer);
        Assert.Equal((true, "second"), (service.UsesFallback, service.Device.Name));

        // It does not yet, and what was made to see that is gone.
        Assert.False(await service.ReturnFromFallbackAsync(Token));
        Assert.Equal((true, 2, 0L), (service.UsesFallback, _devices["first"].Count, First.BytesInUse));
        await AssertAnswersAsync(layer);
        _firstIsLost = false;
        Assert.True(await service.ReturnFromFallbackAsync(Token));
        Assert.Equal((false, "first"), (service.UsesFallback, service.Device.Name));
        await AssertAnswersAsync(layer);
        Assert.Equal("5, 4 heads", First.Batches[^1]);
        Assert.Equal(0, Second.BytesInUse);

        // And it can fail again.
        _firstIsLost = true;
        await AssertAnswersAsync(layer);
        Assert.Equal((true, 2), (service.UsesFallback, _devices["second"].Count));
    }

    [Fact]
    public async Task A_device_that_computes_wrong_is_not_gone_back_to()
    {
        await using AttentionService service = Create();
        IAttentionLayer layer = Add(service);
        First.FailOn(5);
        await AssertAnswersAsync(layer);
        Prepare = (_, device) => device.AfterAttention = Spoil;
        Assert.False(await service.ReturnFromFallbackAsync(Token));
        Assert.Equal((true, 2, 0L), (service.UsesFallback, _devices["first"].Count, First.BytesInUse));

        static unsafe void Spoil(AttentionGpu.Problems.AttentionBuffers buffers) => buffers.Output.Pointer<float>()[0] += 1f;
    }

    [Fact]
    public async Task A_health_check_goes_back_after_the_delay()
    {
        await using AttentionService service = Create();
        IAttentionLayer layer = Add(service);
        _firstIsLost = true;
        await AssertAnswersAsync(layer);
        _time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal(HealthStatus.Degraded, await CheckAsync());
        Assert.Single(_devices["first"]);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(HealthStatus.Degraded, await CheckAsync());
        Assert.Equal(2, _devices["first"].Count);
        _firstIsLost = false;

        // The delay counts from the last try.
        _time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal(HealthStatus.Degraded, await CheckAsync());
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(HealthStatus.Healthy, await CheckAsync());
        Assert.Equal((false, 3), (service.UsesFallback, _devices["first"].Count));
        await AssertAnswersAsync(layer);

        async Task<HealthStatus> CheckAsync() =>
            (await new AttentionHealthCheck(service).CheckHealthAsync(new HealthCheckContext(), Token)).Status;
    }

    [Fact]
    public async Task Layers_that_are_added_during_a_return_come_along_and_callers_share_one_try()
    {
        await using AttentionService service = Create();
        IAttentionLayer layer = Add(service);
        _firstIsLost = true;
        await AssertAnswersAsync(layer);
        _firstIsLost = false;
        using var gate = new ManualResetEventSlim();
        var reached = new TaskCompletionSource();
        Prepare = (_, device) => device.BeforeAttention = _ =>
        {
            reached.TrySetResult();
            gate.Wait(Token);
        };
        Task<bool>[] returns = [service.ReturnFromFallbackAsync(Token), service.ReturnFromFallbackAsync(Token)];
        await reached.Task.WaitAsync(Wait.Patience, Token);
        IAttentionLayer added = service.AddLayer<float>("added", Fixture.Config, Fixture.Weights);
        await AssertAnswersAsync(added);
        gate.Set();
        Assert.All(await Task.WhenAll(returns), Assert.True);
        Assert.Equal(2, _devices["first"].Count);
        await AssertAnswersAsync(layer);
        await AssertAnswersAsync(added);
        Assert.Equal(["5, 4 heads", "5, 4 heads"], First.Batches[^2..]);
        Assert.Equal(0, Second.BytesInUse);
    }

    [Fact]
    public async Task A_disposal_during_a_return_leaves_nothing_behind()
    {
        AttentionService service = Create();
        IAttentionLayer layer = Add(service);
        _firstIsLost = true;
        await AssertAnswersAsync(layer);
        _firstIsLost = false;
        using var gate = new ManualResetEventSlim();
        var reached = new TaskCompletionSource();
        Prepare = (_, device) => device.BeforeAttention = _ =>
        {
            reached.TrySetResult();
            gate.Wait(Token);
        };
        Task<bool> returning = service.ReturnFromFallbackAsync(Token);
        await reached.Task.WaitAsync(Wait.Patience, Token);
        await service.DisposeAsync();
        gate.Set();
        Assert.False(await returning.WaitAsync(Wait.Patience, Token));
        Assert.All(_devices.Values.SelectMany(devices => devices), device => Assert.Equal(0, device.BytesInUse));
    }

    /// <summary>Called with each device that is made.</summary>
    private Action<string, FaultyBackend> Prepare { get; set; } = (_, _) => { };

    private static AttentionServiceOptions Options() => new() { Device = "first", FallbackDevice = "second" };

    private static IAttentionLayer Add(AttentionService service) => service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);

    private static async Task AssertAnswersAsync(IAttentionLayer layer, int tokens = 5)
    {
        float[] input = Fixture.Input(tokens, 1);
        (Task task, float[] output) = SchedulerTests.Forward(layer, input);
        await task.WaitAsync(Wait.Patience, Token);
        Close.Assert(Fixture.Expected(input), output, "output");
    }

    private AttentionService Create(AttentionServiceOptions? options = null) => Fixture.Create(options ?? Options(), Make, time: _time);

    private AttentionEngine Make(string name, AttentionEngineOptions options)
    {
        var device = new FaultyBackend { Name = name };
        if (name == "first")
        {
            device.BeforeAttention = _ =>
            {
                if (_firstIsLost)
                    throw _lost;
            };
        }

        Prepare(name, device);
        _devices[name].Add(device);
        return new AttentionEngine(device);
    }
}
