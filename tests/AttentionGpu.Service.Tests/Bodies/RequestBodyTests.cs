using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace AttentionGpu.Service.Tests.Bodies;

/// <summary>A body whose client leaves or is slow: the server must be able to read on from the same pipe.</summary>
public class RequestBodyTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_leaves_ends_the_read_and_the_server_can_read_on(bool comesBefore)
    {
        using var client = new FakeClient();
        var body = new RequestBody(client.Context, new ServiceLimits());
        Task<ReadResult> reading = body.ReadAsync().AsTask();

        // A piece has come, or none, and the reader is not told of it before the client has gone.
        if (comesBefore)
            await client.Body.Writer.WriteAsync("piece"u8.ToArray(), Token);
        await client.Leaving.CancelAsync();
        client.Run();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading.WaitAsync(Wait.Patience, Token));
        body.Dispose();
        await AssertCanBeReadAsync(client);
    }

    [Fact]
    public async Task A_piece_that_is_read_while_its_client_leaves_is_not_lost()
    {
        using var client = new FakeClient();
        var body = new RequestBody(client.Context, new ServiceLimits());
        Task<ReadResult> reading = body.ReadAsync().AsTask();
        await client.Body.Writer.WriteAsync("piece"u8.ToArray(), Token);

        // What is registered last is called first: the token says that the client has gone, and the body has not been told.
        using CancellationTokenRegistration first = client.Leaving.Token.Register(() => client.Run());
        await client.Leaving.CancelAsync();
        ReadResult piece = await reading.WaitAsync(Wait.Patience, Token);
        Assert.Equal("piece"u8.ToArray(), piece.Buffer.FirstSpan.ToArray());
        body.Consume(piece.Buffer.End);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => body.ReadAsync().AsTask());
        body.Dispose();
        await AssertCanBeReadAsync(client);
    }

    [Fact]
    public async Task A_body_that_does_not_come_in_time_is_408_and_the_server_can_read_on()
    {
        using var client = new FakeClient();
        var body = new RequestBody(client.Context, new ServiceLimits { TransferSeconds = 1 });
        Task<ReadResult> reading = body.ReadAsync().AsTask();
        await Wait.UntilAsync(client.Run);
        BadHttpRequestException refusal =
            await Assert.ThrowsAsync<BadHttpRequestException>(() => reading.WaitAsync(Wait.Patience, Token));
        Assert.Equal((408, "A body must come within 1 seconds."), (refusal.StatusCode, refusal.Message));
        body.Dispose();
        await AssertCanBeReadAsync(client);
    }

    [Fact]
    public async Task A_client_that_leaves_after_its_body_cancels_no_read_of_the_server()
    {
        using var client = new FakeClient();
        new RequestBody(client.Context, new ServiceLimits()).Dispose();
        await client.Leaving.CancelAsync();
        await AssertCanBeReadAsync(client);
    }

    private static async Task AssertCanBeReadAsync(FakeClient client)
    {
        await client.Body.Writer.WriteAsync("next"u8.ToArray(), Token);
        Assert.True(client.Body.Reader.TryRead(out ReadResult next));
        Assert.False(next.IsCanceled);
        Assert.Equal("next"u8.ToArray(), next.Buffer.FirstSpan.ToArray());
    }

    /// <summary>A request whose reader goes on when the test says.</summary>
    private sealed class FakeClient : PipeScheduler, IRequestBodyPipeFeature, IDisposable
    {
        private readonly Queue<Action> _actions = [];

        public FakeClient()
        {
            Body = new Pipe(new PipeOptions(readerScheduler: this, useSynchronizationContext: false));
            Context = new DefaultHttpContext { RequestAborted = Leaving.Token };
            Context.Features.Set<IRequestBodyPipeFeature>(this);
        }

        public DefaultHttpContext Context { get; }

        public Pipe Body { get; }

        public CancellationTokenSource Leaving { get; } = new();

        public PipeReader Reader => Body.Reader;

        public override void Schedule(Action<object?> action, object? state)
        {
            lock (_actions)
                _actions.Enqueue(() => action(state));
        }

        /// <summary>Lets the reader go on; false where it waits.</summary>
        public bool Run()
        {
            lock (_actions)
            {
                if (!_actions.TryDequeue(out Action? action))
                    return false;
                action();
                return true;
            }
        }

        public void Dispose() => Leaving.Dispose();
    }
}
