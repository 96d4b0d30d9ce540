using System.Diagnostics.Metrics;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Hosting.Tests;

/// <summary>A request that was sent, and where its results go. Its task fails rather than waits for ever.</summary>
internal sealed record SentRequest(Task Task, float[] Output, float[] Expected)
{
    public async Task AssertRightAsync()
    {
        await Task;
        Close.Assert(Expected, Output, "output");
    }
}

/// <summary>
/// A service whose device holds its first request, one token, at a gate. Requests that are sent meanwhile wait in their order, and are
/// joined when the gate opens.
/// </summary>
internal sealed class GatedService : IAsyncDisposable
{
    private readonly ManualResetEventSlim _gate = new();
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<SentRequest> _sent = [];

    private GatedService(AttentionServiceOptions options, IMeterFactory? meters, TimeProvider? time)
    {
        Device = new FaultyBackend
        {
            BeforeLinear = () =>
            {
                _reached.TrySetResult();
                _gate.Wait();
            },
        };
        options.Device = "faulty";
        Service = Fixture.CreateOn(Device, options, meters, time: time);
        Layer = Service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        Other = Service.AddLayer<float>("other", Fixture.OtherConfig, Fixture.OtherWeights);
    }

    public FaultyBackend Device { get; }

    public AttentionService Service { get; }

    public IAttentionLayer Layer { get; }

    public IAttentionLayer Other { get; }

    /// <summary>The request at the gate.</summary>
    public SentRequest First => _sent[0];

    /// <summary>Returns when the first request has reached the gate.</summary>
    public static async Task<GatedService> StartAsync(
        AttentionServiceOptions options, IMeterFactory? meters = null, TimeProvider? time = null)
    {
        var gated = new GatedService(options, meters, time);
        gated.Send(1);
        await gated._reached.Task.WaitAsync(Wait.Patience, TestContext.Current.CancellationToken);
        return gated;
    }

    public SentRequest Send(
        int tokens, IAttentionLayer? layer = null, Causal causal = Causal.None, bool weights = false, string? client = null,
        TimeSpan? deadline = null) =>
        Start(
            tokens, layer ?? Layer, new ForwardOptions { Causal = causal, Client = client, Deadline = deadline }, weights,
            TestContext.Current.CancellationToken);

    public SentRequest SendUntil(int tokens, CancellationToken cancellationToken) =>
        Start(tokens, Layer, new ForwardOptions(), weights: false, cancellationToken);

    public void Open() => _gate.Set();

    /// <summary>Opens the gate, and fails unless each request has its own output.</summary>
    public async Task OpenAndAssertRightAsync()
    {
        Open();
        foreach (SentRequest request in _sent)
            await request.AssertRightAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Open();
        await Service.DisposeAsync();
        _gate.Dispose();
    }

    private SentRequest Start(int tokens, IAttentionLayer layer, ForwardOptions options, bool weights, CancellationToken cancellationToken)
    {
        float[] input = Fixture.Input(tokens, _sent.Count);
        var output = new float[input.Length];
        Task task = weights
            ? layer.ForwardWithWeightsAsync<float>(
                input, output, new float[layer.Config.Heads * tokens * tokens], options, cancellationToken)
            : layer.ForwardAsync<float>(input, output, options, cancellationToken);
        Causal causal = options.Causal ?? Causal.None;
        float[] expected = layer == Other ? Fixture.ExpectedOfOther(input, causal) : Fixture.Expected(input, causal);
        var sent = new SentRequest(task.WaitAsync(Wait.Patience, CancellationToken.None), output, expected);
        _sent.Add(sent);
        return sent;
    }
}
