using System.IO.Pipelines;
using System.Text.Json;
using AttentionGpu.Serialization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace AttentionGpu.Service.Tests.Bodies;

/// <summary>Answers in pieces: what waits for a client that does not read is small, and does not wait for ever.</summary>
public class ResponseBodyTests
{
    // What the server keeps for a client.
    private const int KeptBytes = 64 << 10;
    private const int Elements = 1 << 20;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_answer_waits_for_its_client_piece_by_piece(bool isFile)
    {
        var client = new FakeClient();
        float[] values = [.. Enumerable.Range(0, Elements).Select(i => i / 8f)];
        Task answering = AnswerAsync(client, isFile, values, new ServiceLimits())
            .ContinueWith(answer => client.Answer.Writer.Complete(answer.Exception), TaskScheduler.Default);
        using var received = new MemoryStream();
        ReadResult result;
        do
        {
            result = await client.Answer.Reader.ReadAsync(Token);

            // A row of 1024 numbers in text is within a piece of its own.
            Assert.InRange(result.Buffer.Length, 0, KeptBytes + 2 * ResponseBody.PieceBytes);
            foreach (ReadOnlyMemory<byte> part in result.Buffer)
                received.Write(part.Span);
            client.Answer.Reader.AdvanceTo(result.Buffer.End);
        }
        while (!result.IsCompleted);
        await answering;
        Assert.False(client.IsAborted);
        Assert.Equal(values, Read(isFile, received.ToArray()));
        if (isFile)
            Assert.Equal(received.Length, client.Context.Response.ContentLength);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_does_not_read_is_left(bool isFile)
    {
        var client = new FakeClient();
        Task answering = AnswerAsync(client, isFile, new float[Elements], new ServiceLimits { TransferSeconds = 1 });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answering.WaitAsync(Wait.Patience, Token));
        Assert.True(client.IsAborted);
        Assert.True(client.Context.RequestAborted.IsCancellationRequested);
    }

    [Fact]
    public async Task An_answer_ends_when_its_client_has_gone()
    {
        var client = new FakeClient();
        await client.Answer.Reader.CompleteAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => AnswerAsync(client, isFile: true, new float[Elements], new ServiceLimits()).WaitAsync(Wait.Patience, Token));
    }

    private static async Task AnswerAsync(FakeClient client, bool isFile, float[] values, ServiceLimits limits)
    {
        if (isFile)
        {
            await SafetensorsBody.WriteAsync<float>(client.Context, limits, values, [1024, 1024]);
            return;
        }

        using var answer = new JsonAnswer(client.Context, limits);
        await answer.WriteAsync<float>("output", values, 1024);
        await answer.EndAsync();
    }

    private static float[] Read(bool isFile, byte[] body)
    {
        if (isFile)
        {
            using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream(body));
            return [.. file.Read(SafetensorsBody.Output)];
        }

        return [.. JsonSerializer.Deserialize<AttentionResponse>(body, ServiceFixture.Json)!.Output.SelectMany(row => row)];
    }

    /// <summary>A request whose answer goes into a pipe as small as the server's.</summary>
    private sealed class FakeClient : IHttpResponseBodyFeature, IHttpRequestLifetimeFeature
    {
        public FakeClient()
        {
            Context = new DefaultHttpContext();
            Context.Features.Set<IHttpResponseBodyFeature>(this);
            Context.Features.Set<IHttpRequestLifetimeFeature>(this);
        }

        public DefaultHttpContext Context { get; }

        public Pipe Answer { get; } = new(new PipeOptions(pauseWriterThreshold: KeptBytes, resumeWriterThreshold: KeptBytes / 2));

        public bool IsAborted { get; private set; }

        public CancellationToken RequestAborted { get; set; }

        public Stream Stream => Answer.Writer.AsStream();

        public PipeWriter Writer => Answer.Writer;

        public void Abort() => IsAborted = true;

        public Task CompleteAsync() => Task.CompletedTask;

        public void DisableBuffering()
        {
        }

        public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException();

        public Task StartAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;
    }
}
