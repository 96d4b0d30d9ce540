using System.Net.Sockets;
using System.Text;

namespace AttentionGpu.Service.Tests;

/// <summary>A connection to a service on a port, whose requests may be left unfinished.</summary>
internal sealed class RawClient : IAsyncDisposable
{
    private readonly TcpClient _connection = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>Sends the head of a request and the start of its body.</summary>
    public async Task SendAsync(Uri service, string contentType, string start, int contentLength)
    {
        await _connection.ConnectAsync(service.Host, service.Port, Token);
        await _connection.GetStream().WriteAsync(
            Encoding.UTF8.GetBytes(
                $"POST /v1/attention HTTP/1.1\r\nHost: x\r\nContent-Type: {contentType}\r\nContent-Length: {contentLength}\r\n\r\n{start}"),
            Token);
    }

    /// <summary>Fails unless the answer has this status and, in its detail, this text.</summary>
    public async Task AssertAnswerAsync(int status, string detail)
    {
        var answer = new StringBuilder();
        var buffer = new byte[4096];
        while (!answer.ToString().Contains("\"traceId\"", StringComparison.Ordinal))
        {
            int count = await _connection.GetStream().ReadAsync(buffer, Token).AsTask().WaitAsync(Wait.Patience, Token);
            if (count == 0)
                break;
            answer.Append(Encoding.UTF8.GetString(buffer, 0, count));
        }

        Assert.StartsWith($"HTTP/1.1 {status} ", answer.ToString(), StringComparison.Ordinal);
        Assert.Contains(detail, answer.ToString().Replace("\\u0027", "'", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    public ValueTask DisposeAsync()
    {
        _connection.Dispose();
        return ValueTask.CompletedTask;
    }
}
