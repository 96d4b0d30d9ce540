using System.Diagnostics;
using System.Diagnostics.Metrics;
using AttentionGpu.Hosting.Devices;
using AttentionGpu.Hosting.Diagnostics;
using AttentionGpu.Hosting.Scheduling;
using AttentionGpu.Tests.Support;
using Microsoft.Extensions.Logging;

namespace AttentionGpu.Hosting.Tests;

/// <summary>Whatever throws beside the device, the scheduler goes on and every task ends.</summary>
public class SurvivalTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task No_memory_to_join_a_batch_fails_the_requests_that_are_too_large_alone(int failing)
    {
        var memory = new ScarceMemory();
        await using AttentionService service = Fixture.Create(
            new() { Device = "simd", FallbackDevice = "reference" }, memory: memory);
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        int rents = 0;
        memory.BeforeRent = length =>
        {
            rents = length == 7 * Fixture.Embedding ? rents + 1 : 0;
            if (rents == failing)
                throw new InsufficientMemoryException();
        };
        (Task large, float[] unwritten) = SchedulerTests.Forward(layer, Fixture.Input(7, 1));
        AttentionMemoryException exception = await Assert.ThrowsAsync<AttentionMemoryException>(
            () => large.WaitAsync(Wait.Patience, Token));
        Assert.IsType<InsufficientMemoryException>(exception.InnerException);
        Assert.Equal(2L * 7 * Fixture.Embedding * sizeof(float), exception.RequestedBytes);
        Assert.All(unwritten, value => Assert.Equal(0f, value));
        await AssertAnswersAsync(service, layer);
        Assert.Equal((false, 0), (service.UsesFallback, memory.Rented));
    }

    [Fact]
    public async Task A_batch_that_cannot_be_joined_is_served_request_by_request()
    {
        var memory = new ScarceMemory();
        var device = new FaultyBackend();
        using var gate = new ManualResetEventSlim();
        await using AttentionService service = Fixture.Create(
            new() { Device = "faulty" }, (_, _) => new AttentionEngine(device), memory: memory);
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        memory.BeforeRent = length =>
        {
            gate.Wait(Token);
            if (length > 4 * Fixture.Embedding)
                throw new InsufficientMemoryException();
        };
        (Task first, float[] _) = SchedulerTests.Forward(layer, Fixture.Input(1, 1));
        await Wait.UntilAsync(() => service.QueueDepth == 0);
        float[][] inputs = [Fixture.Input(2, 2), Fixture.Input(3, 3), Fixture.Input(4, 4)];
        (Task Task, float[] Output)[] sent = [.. inputs.Select(input => SchedulerTests.Forward(layer, input))];
        gate.Set();
        await first;
        for (int i = 0; i < sent.Length; i++)
        {
            await sent[i].Task.WaitAsync(Wait.Patience, Token);
            Close.Assert(Fixture.Expected(inputs[i]), sent[i].Output, "output");
        }

        Assert.Equal(["1, 4 heads", "2, 4 heads", "3, 4 heads", "4, 4 heads"], device.Batches);
    }

    [Fact]
    public async Task A_listener_of_metrics_that_throws_disturbs_no_request()
    {
        using var meters = new OwnMeters();
        var log = new CollectedLog();
        await using AttentionService service = Fixture.Create(new() { Device = "simd" }, meters: meters, logger: log);
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        int calls = 0;
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Meter == meters.Last)
                    self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<int>((_, _, _, _) => Throw());
        listener.SetMeasurementEventCallback<long>((_, _, _, _) => Throw());
        listener.SetMeasurementEventCallback<double>((_, _, _, _) => Throw());
        listener.Start();
        for (int i = 0; i < 3; i++)
            await AssertAnswersAsync(service, layer);
        await Wait.UntilAsync(() => Volatile.Read(ref calls) == 3 * 5);
        Assert.Equal([LogLevel.Information, LogLevel.Error], log.Levels);

        void Throw()
        {
            Interlocked.Increment(ref calls);
            throw new InvalidOperationException("a listener failed");
        }
    }

    [Theory]
    [InlineData("sample")]
    [InlineData("started")]
    [InlineData("stopped")]
    public async Task A_listener_of_traces_that_throws_disturbs_no_request(string failing)
    {
        await using AttentionService service = Fixture.Create(new() { Device = "simd" });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        using Activity caller = new Activity("caller").SetIdFormat(ActivityIdFormat.W3C).Start();
        int calls = 0;
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == AttentionInstruments.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> options) =>
            {
                if (options.TraceId != caller.TraceId)
                    return ActivitySamplingResult.None;
                Throw("sample");
                return ActivitySamplingResult.AllDataAndRecorded;
            },
            ActivityStarted = activity => ThrowIfMine(activity, "started"),
            ActivityStopped = activity => ThrowIfMine(activity, "stopped"),
        };
        ActivitySource.AddActivityListener(listener);
        for (int i = 0; i < 3; i++)
        {
            await AssertAnswersAsync(service, layer);
            Assert.Same(caller, Activity.Current);
        }

        Assert.Equal(3, calls);

        void ThrowIfMine(Activity activity, string at)
        {
            if (activity.TraceId == caller.TraceId)
                Throw(at);
        }

        void Throw(string at)
        {
            if (at != failing)
                return;
            Interlocked.Increment(ref calls);
            throw new InvalidOperationException("a listener failed");
        }
    }

    [Fact]
    public async Task A_logger_that_throws_disturbs_no_request_and_no_move()
    {
        var device = new FaultyBackend();
        var log = new CollectedLog(() => throw new InvalidOperationException("disk full"));
        await using AttentionService service = Fixture.CreateOn(
            device, new() { Device = "faulty", FallbackDevice = "simd" }, logger: log);
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        device.BeforeLinear = () => throw new InvalidOperationException("lost");
        await AssertAnswersAsync(service, layer);
        Assert.True(service.UsesFallback);
    }

    [Fact]
    public async Task An_exception_that_nobody_expects_fails_its_batch_and_no_other()
    {
        var options = new AttentionServiceOptions { Device = "simd" };
        await using AttentionService service = Fixture.Create(options);
        var layer = (AttentionLayer)service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        var log = new CollectedLog();
        var serviceLog = new ServiceLog(log, "test");
        using var devices = new ServiceDevices(options, null, TimeProvider.System, serviceLog);
        using var meters = new OwnMeters();
        using var instruments = new AttentionInstruments(meters, "test", () => 0, () => 0, () => false, () => [], serviceLog);
        var queue = new RequestQueue(options);
        await using var scheduler = new RequestScheduler(options, queue, devices, instruments, BatchMemory.Shared, serviceLog);
        for (int i = 0; i < 3; i++)
        {
            var request = new BrokenRequest
            {
                Layer = layer,
                Client = "",
                Causal = Causal.None,
                Tokens = 1,
                Queue = queue,
                Ended = _ => throw new InvalidOperationException("ended"),
            };
            queue.Add(request);
            InvalidOperationException exception = await Assert.ThrowsAsync<InvalidOperationException>(
                () => request.Task.WaitAsync(Wait.Patience, Token));
            Assert.Equal("broken", exception.Message);
        }

        Assert.Equal(7, await scheduler.InvokeAsync(() => 7));
        Assert.Equal([LogLevel.Information, LogLevel.Error, LogLevel.Error, LogLevel.Error], log.Levels);
    }

    [Fact]
    public async Task A_request_that_has_ended_before_it_is_queued_takes_no_place()
    {
        var options = new AttentionServiceOptions { Device = "simd" };
        await using AttentionService service = Fixture.Create(options);
        var queue = new RequestQueue(options);
        var request = new ForwardRequest<float>
        {
            Layer = (AttentionLayer)service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights),
            Client = "",
            Causal = Causal.None,
            Tokens = 1,
            Queue = queue,
            Ended = _ => { },
            Input = new float[Fixture.Embedding],
            Output = new float[Fixture.Embedding],
        };
        request.CancelWith(new CancellationToken(canceled: true));
        queue.Add(request);
        Assert.Equal(0, queue.Depth);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request.Task);
    }

    [Fact]
    public async Task Batches_run_on_a_thread_that_is_not_the_pools()
    {
        var device = new FaultyBackend();
        using var caller = new Activity("caller");
        caller.Start();
        await using AttentionService service = Fixture.CreateOn(device, new() { Device = "faulty" });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        (bool IsPool, string? Name, Activity? Activity) seen = default;
        device.BeforeLinear = () => seen = (Thread.CurrentThread.IsThreadPoolThread, Thread.CurrentThread.Name, Activity.Current);
        await AssertAnswersAsync(service, layer);
        Assert.Equal((false, "AttentionGpu scheduler", null), seen);
    }

    private static async Task AssertAnswersAsync(AttentionService service, IAttentionLayer layer)
    {
        float[] input = Fixture.Input(5, 5);
        (Task task, float[] output) = SchedulerTests.Forward(layer, input);
        await task.WaitAsync(Wait.Patience, Token);
        Close.Assert(Fixture.Expected(input), output, "output");
        Assert.Equal(0, service.QueueDepth);
    }

    /// <summary>A request that fails where none does.</summary>
    private sealed class BrokenRequest : ForwardRequest
    {
        private int _looks;

        public override bool HasWeights => false;

        public override long Bytes => 1;

        // The queue looks first, then the scheduler.
        public override bool IsEnded =>
            Interlocked.Increment(ref _looks) > 1 ? throw new InvalidOperationException("broken") : base.IsEnded;
    }

    private sealed class OwnMeters : IMeterFactory
    {
        public Meter? Last { get; private set; }

        public Meter Create(MeterOptions options) => Last = new Meter(options);

        public void Dispose() => Last?.Dispose();
    }
}
