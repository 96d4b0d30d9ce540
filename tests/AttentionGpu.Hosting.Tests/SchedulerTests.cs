using AttentionGpu.Tests.Support;

namespace AttentionGpu.Hosting.Tests;

public class SchedulerTests
{
    private const int Clients = 16;
    private const int RequestsPerClient = 40;

    [Fact]
    public async Task Many_clients_get_what_each_would_alone()
    {
        await using AttentionService service = Fixture.Create(new AttentionServiceOptions { Device = "simd", BatchDelay = TimeSpan.FromMilliseconds(1) });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(client => Task.Run(async () =>
        {
            var random = new Random(client);
            for (int i = 0; i < RequestsPerClient; i++)
            {
                float[] input = Fixture.Input(random.Next(0, 65), random.Next());
                Causal causal = random.Next(2) == 0 ? Causal.None : Causal.TopLeft;
                float[] expected = Fixture.Expected(input, causal);
                float[] output = random.Next(2) == 0 ? input : new float[input.Length];
                await layer.ForwardAsync<float>(input, output, causal, TestContext.Current.CancellationToken);
                if (input.Length > 0)
                    Close.Assert(expected, output, "output");
            }
        })));
        Assert.Equal(0, service.QueueDepth);
    }

    [Fact]
    public async Task A_full_queue_refuses_and_what_waits_is_answered()
    {
        using var gate = new ManualResetEventSlim();
        await using AttentionService service = Create(new() { QueueLimit = 3 }, () => gate.Wait());
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        float[] input = Fixture.Input(5, 1);
        var tasks = new List<(Task Task, float[] Output)> { Forward(layer, input) };
        await Wait.UntilAsync(() => service.QueueDepth == 0);
        tasks.AddRange(Enumerable.Range(0, 3).Select(_ => Forward(layer, input)));
        AttentionOverloadedException exception = await Assert.ThrowsAsync<AttentionOverloadedException>(() => Forward(layer, input).Task);
        Assert.Equal(("QueueLimit", 3L, 3), (exception.Option, exception.Limit, service.QueueDepth));
        gate.Set();
        await Task.WhenAll(tasks.Select(one => one.Task));
        Assert.All(tasks, one => Close.Assert(Fixture.Expected(input), one.Output, "output"));
    }

    [Fact]
    public async Task A_cancelled_request_affects_no_other()
    {
        using var gate = new ManualResetEventSlim();
        await using AttentionService service = Create(new(), () => gate.Wait());
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        float[] input = Fixture.Input(7, 2);
        using var running = new CancellationTokenSource();
        using var waiting = new CancellationTokenSource();
        (Task Task, float[] Output) first = ForwardUntil(layer, input, running.Token);
        await Wait.UntilAsync(() => service.QueueDepth == 0);
        (Task Task, float[] Output) second = ForwardUntil(layer, input, waiting.Token);
        (Task Task, float[] Output) third = Forward(layer, input);
        await waiting.CancelAsync();
        await running.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second.Task);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first.Task);
        gate.Set();
        await third.Task;
        Close.Assert(Fixture.Expected(input), third.Output, "output");
        Assert.All(first.Output.Concat(second.Output), value => Assert.Equal(0f, value));
        using var gone = new CancellationTokenSource();
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ForwardUntil(layer, input, gone.Token).Task);
    }

    [Fact]
    public async Task NaN_stays_in_its_request()
    {
        using var gate = new ManualResetEventSlim();
        await using AttentionService service = Create(new(), () => gate.Wait());
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        float[] input = Fixture.Input(6, 4);
        float[] poisoned = [.. Enumerable.Repeat(float.NaN, 9 * Fixture.Embedding)];
        _ = Forward(layer, input);
        (Task Task, float[] Output)[] others = [Forward(layer, input), Forward(layer, poisoned), Forward(layer, input)];
        gate.Set();
        await Task.WhenAll(others.Select(one => one.Task));
        Close.Assert(Fixture.Expected(input), others[0].Output, "output");
        Close.Assert(Fixture.Expected(input), others[2].Output, "output");
        Assert.All(others[1].Output, value => Assert.True(float.IsNaN(value)));
    }

    [Theory]
    [InlineData(AttentionShutdown.Finish)]
    [InlineData(AttentionShutdown.Refuse)]
    public async Task Disposal_under_load_does_as_the_option_says(AttentionShutdown shutdown)
    {
        using var gate = new ManualResetEventSlim();
        AttentionService service = Create(new() { Shutdown = shutdown }, () => gate.Wait());
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        float[] input = Fixture.Input(4, 5);
        (Task Task, float[] Output) running = Forward(layer, input);
        await Wait.UntilAsync(() => service.QueueDepth == 0);
        (Task Task, float[] Output) waiting = Forward(layer, input);
        ValueTask disposal = service.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Forward(layer, input).Task);
        gate.Set();
        await disposal;
        await running.Task;
        Close.Assert(Fixture.Expected(input), running.Output, "output");
        if (shutdown == AttentionShutdown.Refuse)
        {
            await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting.Task);
            return;
        }

        await waiting.Task;
        Close.Assert(Fixture.Expected(input), waiting.Output, "output");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Weights_come_with_the_output(bool batchFirst)
    {
        await using AttentionService service = Fixture.Create(new() { Device = "simd" });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config with { BatchFirst = batchFirst }, Fixture.Weights);
        float[] input = Fixture.Input(6, 8);
        var output = new float[input.Length];
        var weights = new float[Fixture.Config.Heads * 6 * 6];
        await layer.ForwardWithWeightsAsync<float>(input, output, weights, Causal.TopLeft, TestContext.Current.CancellationToken);
        Close.Assert(Fixture.Expected(input, Causal.TopLeft), output, "output");
        Assert.All(weights.Chunk(6), row => Assert.Equal(1f, row.Sum(), 1e-5f));
        Assert.Equal(0f, weights[1]);
        foreach (int length in (int[])[0, weights.Length - 1, weights.Length + 1])
        {
            ArgumentException exception = await Assert.ThrowsAsync<ArgumentException>(
                "weights",
                () => layer.ForwardWithWeightsAsync<float>(
                    input, output, new float[length], cancellationToken: TestContext.Current.CancellationToken));
            Assert.Contains($"4 x 6 x 6 elements; it has {length}.", exception.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Bad_input_is_refused_at_once()
    {
        await using AttentionService service = Fixture.Create(new() { Device = "simd" });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        ArgumentException exception = await Assert.ThrowsAsync<ArgumentException>("input", () => Send(33, 33));
        Assert.Contains("rows of 32", exception.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>("output", () => Send(32, 64));
        await Assert.ThrowsAsync<ArgumentException>("output", () => Send(64, 63));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>("causal", () => Send(32, 32, (Causal)9));
        Assert.Throws<ArgumentException>("name", () => service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights));
        Assert.Throws<ArgumentException>("name", () => service.AddLayer<float>("", Fixture.Config, Fixture.Weights));

        Task Send(int input, int output, Causal causal = Causal.None) =>
            layer.ForwardAsync<float>(new float[input], new float[output], causal, TestContext.Current.CancellationToken);
    }

    internal static (Task Task, float[] Output) Forward(IAttentionLayer layer, float[] input) =>
        ForwardUntil(layer, input, TestContext.Current.CancellationToken);

    private static (Task Task, float[] Output) ForwardUntil(IAttentionLayer layer, float[] input, CancellationToken token)
    {
        var output = new float[input.Length];
        return (ForwardAsync(), output);

        // What is thrown at once is the task's too.
        async Task ForwardAsync() => await layer.ForwardAsync<float>(input, output, cancellationToken: token);
    }

    internal static AttentionService Create(AttentionServiceOptions options, Action beforeLinear) =>
        Fixture.Create(options, (_, _) => new AttentionEngine(new FaultyBackend { BeforeLinear = beforeLinear }));
}
