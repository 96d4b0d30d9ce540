using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using AttentionGpu.Tests.Support;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace AttentionGpu.Hosting.Tests;

/// <summary>
/// Parts that die at random beside each other: host memory, device memory, both devices, listeners of metrics and the log. The variable
/// ATTENTION_FAULT_SECONDS makes it go on for so long.
/// </summary>
public sealed class PartFaultTests : IDisposable
{
    private const int Faults = 200;
    private const int Clients = 8;

    private readonly int _seed = Random.Shared.Next();
    private readonly Random _random;
    private readonly Meter _meter = new($"faults.{Guid.NewGuid()}");
    private readonly MeterListener _listener = new();
    private readonly List<FaultyBackend> _devices = [];
    private volatile bool _isArmed;
    private volatile bool _firstIsLost;
    private int _harmful;
    private int _harmless;

    public PartFaultTests()
    {
        _random = new Random(_seed);
        _listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter == _meter)
                self.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<double>((_, _, _, _) => MayDie("a listener", oneIn: 25, ref _harmless));
        _listener.SetMeasurementEventCallback<long>((_, _, _, _) => MayDie("a listener", oneIn: 25, ref _harmless));
        _listener.Start();
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _listener.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public async Task Any_part_that_dies_fails_requests_of_its_own_and_every_other_is_right()
    {
        TestContext.Current.SendDiagnosticMessage($"{nameof(PartFaultTests)}: seed {_seed}");
        string? seconds = Environment.GetEnvironmentVariable("ATTENTION_FAULT_SECONDS");
        TimeSpan? time = seconds is null ? null : TimeSpan.FromSeconds(double.Parse(seconds, CultureInfo.InvariantCulture));
        var memory = new ScarceMemory { BeforeRent = _ => MayDie<InsufficientMemoryException>(oneIn: 30) };
        AttentionService service = Fixture.Create(
            new() { Device = "first", FallbackDevice = "second", FallbackRetryDelay = TimeSpan.Zero, MaxBatchTokens = 200 },
            Make, new OneMeter(_meter), new CollectedLog(() => MayDie("the log", oneIn: 4, ref _harmless)), memory: memory);
        try
        {
            IAttentionLayer[] layers =
            [
                service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights),
                service.AddLayer<float>("other", Fixture.OtherConfig, Fixture.OtherWeights),
            ];
            var check = new AttentionHealthCheck(service);
            _isArmed = true;
            long start = Stopwatch.GetTimestamp();
            int failed = 0;
            int right = 0;
            await Task.WhenAll(
            [
                .. Enumerable.Range(0, Clients).Select(client => Task.Run(() => SendAsync(client), Token)),
                Task.Run(LoseAndReturnAsync, Token),
            ]);

            // A fault of a batch fails nobody, and one of a request alone fails that.
            Assert.InRange(failed, 1, _harmful);
            Assert.InRange(right, failed, int.MaxValue);
            _isArmed = _firstIsLost = false;
            Assert.True(await service.ReturnFromFallbackAsync(Token), Seed);
            HealthCheckResult health = await check.CheckHealthAsync(new HealthCheckContext(), Token);
            Assert.True(health.Status == HealthStatus.Healthy, $"{Seed}: {health.Description}");
            Assert.True(
                (0, 0) == (service.QueueDepth, memory.Rented), $"{Seed}: {service.QueueDepth} wait, {memory.Rented} arrays are out.");
            TestContext.Current.SendDiagnosticMessage(
                $"{right} right, {failed} failed, {_harmful} faults, {_harmless} of listeners, {_devices.Count} devices");

            bool GoesOn() => time is { } limit
                ? Stopwatch.GetElapsedTime(start) < limit
                : Volatile.Read(ref _harmful) + Volatile.Read(ref _harmless) < Faults;

            async Task SendAsync(int client)
            {
                var random = new Random(_seed + client);
                while (GoesOn())
                {
                    if (await TrySendAsync(service, layers[random.Next(2)], layers, random, client))
                        Interlocked.Increment(ref right);
                    else
                        Interlocked.Increment(ref failed);
                }
            }

            async Task LoseAndReturnAsync()
            {
                while (GoesOn())
                {
                    _firstIsLost = Next(2) == 0;
                    if (Next(2) == 0)
                        await service.ReturnFromFallbackAsync(Token).WaitAsync(Wait.Patience, Token);
                    else
                        await check.CheckHealthAsync(new HealthCheckContext(), Token).WaitAsync(Wait.Patience, Token);
                    await Task.Yield();
                }
            }
        }
        finally
        {
            _isArmed = false;
            await service.DisposeAsync().AsTask().WaitAsync(Wait.Patience, CancellationToken.None);
        }

        Assert.All(_devices, device => Assert.True(device.BytesInUse == 0, $"{Seed}: {device.Name} has {device.BytesInUse} bytes."));
    }

    private string Seed => $"seed {_seed}";

    // Whether the request was answered; then its answer is right. One that is cancelled counts as answered.
    private async Task<bool> TrySendAsync(
        AttentionService service, IAttentionLayer layer, IAttentionLayer[] layers, Random random, int client)
    {
        int tokens = random.Next(1, 40);
        Causal causal = random.Next(2) == 0 ? Causal.None : Causal.TopLeft;
        float[] input = Fixture.Input(tokens, random.Next());
        float[] expected = layer == layers[0] ? Fixture.Expected(input, causal) : Fixture.ExpectedOfOther(input, causal);
        float[] output = [.. Enumerable.Repeat(float.NaN, input.Length)];
        using var cancellation = new CancellationTokenSource();
        TimeSpan? deadline = random.Next(2) == 0 ? Wait.Patience : null;
        var options = new ForwardOptions { Causal = causal, Client = $"{client % 4}", Deadline = deadline };
        Task task = random.Next(8) == 0
            ? layer.ForwardWithWeightsAsync<float>(
                input, output, new float[layer.Config.Heads * tokens * tokens], options, cancellation.Token)
            : layer.ForwardAsync<float>(input, output, options, cancellation.Token);
        if (random.Next(10) == 0)
            await cancellation.CancelAsync();
        try
        {
            await task.WaitAsync(Wait.Patience, CancellationToken.None);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return true;
        }
        catch (Exception exception) when (exception is AttentionMemoryException or AttentionDeviceException)
        {
            Assert.True(output.All(float.IsNaN), $"{Seed}: the output of a request that failed was written.");
            return false;
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"{Seed}: {exception.Message} (device {service.Device.Name})", exception);
        }

        float largest = expected.Max(MathF.Abs);
        for (int i = 0; i < expected.Length; i++)
            Assert.True(MathF.Abs(output[i] - expected[i]) <= 1e-4f * largest, $"{Seed}: element {i} is {output[i]}, not {expected[i]}.");
        return true;
    }

    private AttentionEngine Make(string name, AttentionEngineOptions options)
    {
        var device = new FaultyBackend
        {
            Name = name,
            BeforeAttention = _ =>
            {
                if (name == "first" && _firstIsLost)
                    Die<InvalidOperationException>();
                MayDie<InvalidOperationException>(oneIn: 100);
            },
            BeforeRent = _ =>
            {
                if (Next(200) == 0 && _isArmed)
                {
                    Interlocked.Increment(ref _harmful);
                    throw new AttentionMemoryException(3, 2, 1);
                }
            },
        };
        lock (_devices)
        {
            _devices.Add(device);
        }

        return new AttentionEngine(device);
    }

    private void MayDie<T>(int oneIn)
        where T : Exception, new()
    {
        if (Next(oneIn) == 0)
            Die<T>();
    }

    private void Die<T>()
        where T : Exception, new()
    {
        if (!_isArmed)
            return;
        Interlocked.Increment(ref _harmful);
        throw new T();
    }

    private void MayDie(string part, int oneIn, ref int count)
    {
        if (!_isArmed || Next(oneIn) != 0)
            return;
        Interlocked.Increment(ref count);
        throw new InvalidOperationException($"{part} died");
    }

    private int Next(int below)
    {
        lock (_random)
        {
            return _random.Next(below);
        }
    }

    private sealed class OneMeter(Meter meter) : IMeterFactory
    {
        public Meter Create(MeterOptions options) => meter;

        public void Dispose()
        {
        }
    }
}
