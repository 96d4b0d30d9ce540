using System.Net.Sockets;
using System.Text;

namespace AttentionGpu.Bench.Services;

/// <summary>
/// Clients that send malformed bodies, too much or too slowly, leave, or do not read their answers. Each goes on until it is cancelled.
/// </summary>
internal sealed class HostileClients(Uri url, HostileBodies bodies)
{
    private const int BufferBytes = 64 << 10;

    private static readonly TimeSpan _second = TimeSpan.FromSeconds(1);

    private long _connections;

    /// <summary>Connections that were made.</summary>
    public long Connections => Interlocked.Read(ref _connections);

    /// <summary>All of them at once.</summary>
    public Task RunAsync(CancellationToken token) => Task.WhenAll(
        Many(20, HugeAsync, token), Many(8, MalformedAsync, token), Many(60, StallAsync, token), Many(200, TrickleAsync, token),
        Many(40, NeverReadAsync, token), Many(10, ReadSlowlyAsync, token), Many(16, LeaveAsync, token), Many(100, HalfHeadAsync, token));

    private Task Many(int count, Func<NetworkStream, int, CancellationToken, Task> attack, CancellationToken token) =>
        Task.WhenAll(Enumerable.Range(0, count).Select(client => Task.Run(
            async () =>
            {
                for (int i = client; !token.IsCancellationRequested; i++)
                    await ConnectAsync(attack, i, token).ConfigureAwait(false);
            },
            CancellationToken.None)));

    private async Task ConnectAsync(Func<NetworkStream, int, CancellationToken, Task> attack, int index, CancellationToken token)
    {
        try
        {
            using var client = new TcpClient { ReceiveBufferSize = BufferBytes };
            await client.ConnectAsync(url.Host, url.Port, token).ConfigureAwait(false);
            Interlocked.Increment(ref _connections);
            await attack(client.GetStream(), index, token).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is IOException or SocketException or OperationCanceledException)
        {
            // The service has closed the connection, as it should; or the attack is over.
        }

        // Refused connections would be made again thousands of times a second.
        await Task.Delay(100, CancellationToken.None).ConfigureAwait(false);
    }

    private async Task HugeAsync(NetworkStream stream, int index, CancellationToken token)
    {
        (string contentType, byte[] body) = bodies.Huge[index % bodies.Huge.Count];
        await SendAsync(stream, contentType, body, token).ConfigureAwait(false);
        await DrainAsync(stream, BufferBytes, TimeSpan.Zero, token).ConfigureAwait(false);
    }

    private async Task MalformedAsync(NetworkStream stream, int index, CancellationToken token)
    {
        var random = new Random(index);
        byte[] body = bodies.Fuzzed(random);
        if (random.Next(4) == 0)
            await stream.WriteAsync(body, token).ConfigureAwait(false);
        else
            await SendAsync(stream, random.Next(2) == 0 ? HostileBodies.Json : GoodClients.ContentType, body, token).ConfigureAwait(false);
        await DrainAsync(stream, BufferBytes, TimeSpan.Zero, token).ConfigureAwait(false);
    }

    // Nearly all of a long file, and then 300 bytes a second.
    private async Task StallAsync(NetworkStream stream, int index, CancellationToken token)
    {
        int sent = bodies.Long.Length - 300 * 1000;
        await stream.WriteAsync(Head(GoodClients.ContentType, bodies.Long.Length), token).ConfigureAwait(false);
        await stream.WriteAsync(bodies.Long.AsMemory(0, sent), token).ConfigureAwait(false);
        for (; sent < bodies.Long.Length; sent += 300)
        {
            await Task.Delay(_second, token).ConfigureAwait(false);
            await stream.WriteAsync(bodies.Long.AsMemory(sent, 300), token).ConfigureAwait(false);
        }
    }

    // A body of a byte a second.
    private async Task TrickleAsync(NetworkStream stream, int index, CancellationToken token)
    {
        await stream.WriteAsync(Head(HostileBodies.Json, bodies.Short.Length), token).ConfigureAwait(false);
        foreach (byte one in Encoding.ASCII.GetBytes("""{"input":[[""" + new string('1', 600)))
        {
            await stream.WriteAsync(new[] { one }, token).ConfigureAwait(false);
            await Task.Delay(_second, token).ConfigureAwait(false);
        }
    }

    private async Task NeverReadAsync(NetworkStream stream, int index, CancellationToken token)
    {
        await SendAsync(stream, GoodClients.ContentType, bodies.Long, token).ConfigureAwait(false);

        // Bytes that are sent tell when the connection is closed, without reading.
        for (int second = 0; second < 120; second++)
        {
            await Task.Delay(_second, token).ConfigureAwait(false);
            await stream.WriteAsync("\r\n"u8.ToArray(), token).ConfigureAwait(false);
        }
    }

    private async Task ReadSlowlyAsync(NetworkStream stream, int index, CancellationToken token)
    {
        await SendAsync(stream, GoodClients.ContentType, bodies.Long, token).ConfigureAwait(false);
        await DrainAsync(stream, 1000, _second, token).ConfigureAwait(false);
    }

    private async Task LeaveAsync(NetworkStream stream, int index, CancellationToken token)
    {
        await SendAsync(stream, GoodClients.ContentType, bodies.Short, token).ConfigureAwait(false);
        await Task.Delay(index % 50, token).ConfigureAwait(false);
    }

    private async Task HalfHeadAsync(NetworkStream stream, int index, CancellationToken token)
    {
        await stream.WriteAsync("POST /v1/attention HTTP/1.1\r\nHost: x\r\nA: "u8.ToArray(), token).ConfigureAwait(false);
        await DrainAsync(stream, BufferBytes, TimeSpan.Zero, token).ConfigureAwait(false);
    }

    private async Task SendAsync(NetworkStream stream, string contentType, byte[] body, CancellationToken token)
    {
        await stream.WriteAsync(Head(contentType, body.Length), token).ConfigureAwait(false);
        await stream.WriteAsync(body, token).ConfigureAwait(false);
    }

    private static async Task DrainAsync(NetworkStream stream, int bytes, TimeSpan pause, CancellationToken token)
    {
        var buffer = new byte[bytes];
        while (await stream.ReadAsync(buffer, token).ConfigureAwait(false) > 0)
        {
            if (pause > TimeSpan.Zero)
                await Task.Delay(pause, token).ConfigureAwait(false);
        }
    }

    private byte[] Head(string contentType, int bytes) => Encoding.ASCII.GetBytes(
        $"POST /v1/attention HTTP/1.1\r\nHost: {url.Authority}\r\nConnection: close\r\nContent-Type: {contentType}\r\n"
        + $"Content-Length: {bytes}\r\n\r\n");
}
