using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using AttentionGpu.Tests.Support;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace AttentionGpu.Hosting.Tests;

/// <summary>
/// Parts that die at random beside each other: host memory, device memory, both devices, listeners of metrics, the log, and the disk:
/// the checkpoints of the service's layers are gone once it runs, and others fail while they are read. The variable
/// ATTENTION_FAULT_SECONDS makes it go on for so long.
/// </summary>
public sealed class PartFaultTests : IDisposable
{
    private const int Faults = 200;
    private const int Clients = 8;
    private const int AddedLayers = 6;

    private readonly int _seed = Random.Shared.Next();
    private readonly Random _random;
    private readonly Meter _meter = new($"faults.{Guid.NewGuid()}");
    private readonly MeterListener _listener = new();
    private readonly List<FaultyBackend> _devices = [];
    private volatile bool _isArmed;
    private volatile bool _firstIsLost;
    private int _harmful;
    private int _harmless;
    private int _unread;

    public PartFaultTests()
    {
        _random = new Random(_seed);
        _listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter == _meter)
                self.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<double>((_, _, _, _) => MayDie<InvalidOperationException>(oneIn: 25, ref _harmless));
        _listener.SetMeasurementEventCallback<long>((_, _, _, _) => MayDie<InvalidOperationException>(oneIn: 25, ref _harmless));
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
        var memory = new ScarceMemory { BeforeRent = _ => MayDie<InsufficientMemoryException>(oneIn: 30, ref _harmful) };
        AttentionService service;
        using (var lost = new FailingDisk())
        {
            var options = new AttentionServiceOptions
            {
                Device = "first",
                FallbackDevice = "second",
                FallbackRetryDelay = TimeSpan.Zero,
                MaxBatchTokens = 200,
                Layers =
                {
                    ["layer"] = new() { Path = lost.Write(Fixture.Weights), Heads = Fixture.Config.Heads },
                    ["other"] = new() { Path = lost.Write(Fixture.OtherWeights), Heads = Fixture.OtherConfig.Heads },
                },
            };
            service = Fixture.Create(
                options, Make, new OneMeter(_meter), new CollectedLog(() => MayDie<IOException>(oneIn: 4, ref _harmless)), memory: memory);
        }

        try
        {
            IAttentionLayer[] layers = [service.Layers["layer"], service.Layers["other"]];
            var check = new AttentionHealthCheck(service);
            _isArmed = true;
            long start = Stopwatch.GetTimestamp();
            int failed = 0;
            int right = 0;
            await Task.WhenAll(
            [
                .. Enumerable.Range(0, Clients).Select(client => Task.Run(() => SendAsync(client), Token)),
                Task.Run(LoseAndReturnAsync, Token),
                Task.Run(LoadAsync, Token),
            ]);

            // A fault of a batch fails nobody, and one of a request alone fails that.
            Assert.InRange(failed, 1, _harmful);
            Assert.InRange(right, failed, int.MaxValue);
            Assert.Contains(_devices, device => device.Name == "second" && device.Batches.Length > 0);
            _isArmed = _firstIsLost = false;
            Assert.True(await service.ReturnFromFallbackAsync(Token), Seed);
            HealthCheckResult health = await check.CheckHealthAsync(new HealthCheckContext(), Token);
            Assert.True(health.Status == HealthStatus.Healthy, $"{Seed}: {health.Description}");
            Assert.True(
                (0, 0) == (service.QueueDepth, memory.Rented), $"{Seed}: {service.QueueDepth} wait, {memory.Rented} arrays are out.");
            TestContext.Current.SendDiagnosticMessage(
                $"{right} right, {failed} failed, {_harmful} faults, {_harmless} of listeners, {_unread} of the disk, "
                + $"{_devices.Count} devices");

            bool GoesOn() => time is { } limit
                ? Stopwatch.GetElapsedTime(start) < limit
                : Volatile.Read(ref _harmful) + Volatile.Read(ref _harmless) < Faults;

            async Task SendAsync(int client)
            {
                var random = new Random(_seed + client);
                while (GoesOn())
                {
                    IAttentionLayer layer = layers[random.Next(2)];
                    if (await TrySendAsync(service, layer, random, client))
                        Interlocked.Increment(ref right);
                    else
                        Interlocked.Increment(ref failed);
                }
            }

            async Task LoadAsync()
            {
                var random = new Random(_seed - 1);
                var added = new List<IAttentionLayer>();
                while (GoesOn())
                {
                    using var disk = new FailingDisk();
                    string path = disk.Write(Fixture.Weights);
                    double? failure = random.Next(3) == 0 ? null : random.NextDouble();
                    Task failing = failure is { } how ? Task.Run(() => FailingDisk.Fail(path, how), Token) : Task.CompletedTask;
                    if (random.Next(2) == 0)
                        await failing;
                    await AssertLoadsOrLeavesNothingAsync(disk.Write(Fixture.OtherWeights), path, mustLoad: failure is null, random);
                    if (added.Count < AddedLayers && TryAdd(service, path, $"added {added.Count}") is { } layer)
                        added.Add(layer);
                    await failing;
                    if (added.Count > 0)
                        await TrySendAsync(service, added[random.Next(added.Count)], random, client: 0);
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
    private async Task<bool> TrySendAsync(AttentionService service, IAttentionLayer layer, Random random, int client)
    {
        int tokens = random.Next(1, 40);
        Causal causal = random.Next(2) == 0 ? Causal.None : Causal.TopLeft;
        float[] input = Fixture.Input(tokens, random.Next());
        float[] expected = layer.Config.Heads == Fixture.Config.Heads
            ? Fixture.Expected(input, causal)
            : Fixture.ExpectedOfOther(input, causal);
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

    // A service of two layers, whose second may fail: it answers right, or is not made and has nothing on its device.
    private async Task AssertLoadsOrLeavesNothingAsync(string good, string path, bool mustLoad, Random random)
    {
        var device = new FaultyBackend { Name = "own" };
        lock (_devices)
        {
            _devices.Add(device);
        }

        var options = new AttentionServiceOptions { Device = "own" };
        options.Layers["other"] = new() { Path = good, Heads = Fixture.OtherConfig.Heads };
        options.Layers["layer"] = new() { Path = path, Heads = Fixture.Config.Heads };
        AttentionService service;
        try
        {
            service = Fixture.CreateOn(device, options);
        }
        catch (InvalidDataException exception)
        {
            Assert.False(mustLoad, $"{Seed}: {exception}");
            Assert.StartsWith("The layer 'layer' cannot be loaded from", exception.Message, StringComparison.Ordinal);
            Interlocked.Increment(ref _unread);
            return;
        }

        await using (service)
        {
            Assert.True(await TrySendAsync(service, service.Layers["layer"], random, client: 0), Seed);
        }
    }

    // Adds a layer to a service that runs; null where the file or the device's memory fails.
    private static IAttentionLayer? TryAdd(AttentionService service, string path, string name)
    {
        try
        {
            (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) =
                MultiHeadAttentionWeights.Load(path, Fixture.Config.Heads);
            return service.AddLayer<float>(name, config, weights);
        }
        catch (Exception exception) when (exception is IOException or InvalidDataException or UnauthorizedAccessException
            or AttentionMemoryException)
        {
            Assert.DoesNotContain(name, service.Layers.Keys);
            return null;
        }
    }

    private AttentionEngine Make(string name, AttentionEngineOptions options)
    {
        var device = new FaultyBackend
        {
            Name = name,
            BeforeAttention = _ =>
            {
                if (name == "first" && _firstIsLost)
                    Die<InvalidOperationException>(ref _harmful);
                MayDie<InvalidOperationException>(oneIn: 100, ref _harmful);
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

    private void MayDie<T>(int oneIn, ref int count)
        where T : Exception, new()
    {
        if (Next(oneIn) == 0)
            Die<T>(ref count);
    }

    private void Die<T>(ref int count)
        where T : Exception, new()
    {
        if (!_isArmed)
            return;
        Interlocked.Increment(ref count);
        throw new T();
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
