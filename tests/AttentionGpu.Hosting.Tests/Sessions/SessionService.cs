using System.Diagnostics.Metrics;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Hosting.Tests.Sessions;

/// <summary>A service with one layer that has sessions, on a device that can be held at a gate.</summary>
internal sealed class SessionService : IAsyncDisposable
{
    private readonly ManualResetEventSlim _gate = new(initialState: true);
    private TaskCompletionSource _reached = new();

    public SessionService(
        AttentionCacheOptions cache, AttentionServiceOptions? options = null, IMeterFactory? meters = null, TimeProvider? time = null)
    {
        Device = new FaultyBackend
        {
            BeforeLinear = () =>
            {
                _reached.TrySetResult();
                _gate.Wait();
            },
        };
        options ??= new();
        options.Device = "faulty";
        Service = Fixture.CreateOn(Device, options, meters, time: time);
        Layer = Service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights, cache);
        AllPages = Sessions.FreePages;
    }

    public FaultyBackend Device { get; }

    public AttentionService Service { get; }

    public IAttentionLayer Layer { get; }

    public AttentionSessions Sessions => Layer.Sessions!;

    public int AllPages { get; }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>A cache of small pages.</summary>
    public static AttentionCacheOptions Small(int pages, int sessions = 16) =>
        new() { PageSize = 16, Pages = pages, Sessions = sessions, Capacity = 256, HostMemoryBytes = 1 << 20 };

    public async Task<SessionRun> OpenAsync(string? client = null) => new(await Sessions.OpenAsync(client, Token));

    /// <summary>Returns when a request of one token is held on the device: what is sent from now on waits in the queue.</summary>
    public async Task<Task> HoldAsync()
    {
        _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _gate.Reset();
        float[] input = Fixture.Input(1, 1);
        Task held = Layer.ForwardAsync<float>(input, new float[input.Length], cancellationToken: Token);
        await ReachedAsync();
        return held;
    }

    /// <summary>Holds the next batch on the device.</summary>
    public void HoldNext()
    {
        _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _gate.Reset();
    }

    public Task ReachedAsync() => _reached.Task.WaitAsync(Wait.Patience, Token);

    public void LetGo() => _gate.Set();

    /// <summary>Fails unless every page is free when the sessions are closed.</summary>
    public async Task AssertNothingLeftAsync(params SessionRun[] sessions)
    {
        foreach (SessionRun session in sessions)
            await session.Session.CloseAsync();
        Assert.Equal(
            (0, AllPages, 0, 0L), (Sessions.Count, Sessions.FreePages, Sessions.Spilled, Sessions.SpilledBytes));
    }

    public async ValueTask DisposeAsync()
    {
        LetGo();
        await Service.DisposeAsync();
        _gate.Dispose();
        Assert.Equal(0, Device.BytesInUse);
    }
}

/// <summary>A session, and the rows that it has.</summary>
internal sealed class SessionRun(AttentionSession session)
{
    private static int _seed = Random.Shared.Next();

    private readonly List<float> _rows = [];

    public AttentionSession Session => session;

    public int Tokens => _rows.Count / Fixture.Embedding;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static float[] Rows(int tokens) => Fixture.Input(tokens, Interlocked.Increment(ref _seed));

    /// <summary>A step whose output is that of all rows together.</summary>
    public Task StepAsync(int tokens) => StepAsync(Rows(tokens));

    public async Task StepAsync(float[] rows, bool inPlace = false)
    {
        float[] input = [.. rows];
        float[] output = inPlace ? input : [.. Enumerable.Repeat(float.NaN, rows.Length)];
        await session.StepAsync<float>(input, output, cancellationToken: Token).WaitAsync(Wait.Patience, Token);
        Add(rows);
        AssertRight(rows.Length, output);
    }

    /// <summary>Rows that a step of somebody else has added.</summary>
    public void Add(float[] rows) => _rows.AddRange(rows);

    /// <summary>Fails unless an output is that of the last rows.</summary>
    public void AssertRight(int elements, float[] output)
    {
        Assert.Equal(Tokens, session.Length);
        if (elements > 0)
        {
            float[] all = Fixture.Expected([.. _rows], Causal.TopLeft);
            Close.Assert(all[^elements..], output, $"{elements / Fixture.Embedding} of {Tokens} tokens, seed {_seed}");
        }
    }

    public async Task<SessionRun> ForkAsync(int? length = null)
    {
        var fork = new SessionRun(await session.ForkAsync(length, Token));
        fork.Add([.. _rows.Take((length ?? Tokens) * Fixture.Embedding)]);
        Assert.Equal(fork.Tokens, fork.Session.Length);
        return fork;
    }

    public async Task RewindAsync(int length)
    {
        await session.RewindAsync(length, Token);
        _rows.RemoveRange(length * Fixture.Embedding, _rows.Count - length * Fixture.Embedding);
        Assert.Equal(length, session.Length);
    }
}
