using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace AttentionGpu.Service;

/// <summary>What a request may ask for, and what all of them may hold and take.</summary>
internal sealed class ServiceLimits
{
    private const int BufferBytes = 64 << 10;

    /// <summary>Bytes of a request's body.</summary>
    public long MaxBodyBytes { get; set; } = 16 << 20;

    /// <summary>Bytes of the header of a safetensors file.</summary>
    public int MaxHeaderBytes { get; set; } = 64 << 10;

    /// <summary>Tokens of a sequence.</summary>
    public int MaxTokens { get; set; } = 4096;

    /// <summary>Tokens of a sequence whose weights are asked for: they are heads times tokens squared.</summary>
    public int MaxWeightTokens { get; set; } = 256;

    /// <summary>Bytes that all requests may hold at once: bodies, inputs, outputs and weights.</summary>
    public long MaxMemoryBytes { get; set; } = 256 << 20;

    /// <summary>Seconds in which a body must come, and in which an answer must be taken.</summary>
    public int TransferSeconds { get; set; } = 30;

    /// <summary>Bytes a second that a client must send or take, on the average, from the fifth second on.</summary>
    public double MinBytesPerSecond { get; set; } = 4096;

    /// <summary>Refuses limits that no request could keep.</summary>
    /// <exception cref="InvalidOperationException">One is out of its range.</exception>
    public void Validate()
    {
        Require(MaxMemoryBytes / 4 >= MaxBodyBytes, nameof(MaxMemoryBytes), $"at least 4 times MaxBodyBytes, {MaxBodyBytes}", MaxMemoryBytes);
        Require(MaxHeaderBytes > 0, nameof(MaxHeaderBytes), "more than 0", MaxHeaderBytes);
        Require(TransferSeconds > 0, nameof(TransferSeconds), "more than 0", TransferSeconds);
        Require(MinBytesPerSecond > 0, nameof(MinBytesPerSecond), "more than 0", MinBytesPerSecond);
    }

    /// <summary>How much a client may send, and how slow it may be.</summary>
    public void Apply(KestrelServerLimits server)
    {
        var rate = new MinDataRate(MinBytesPerSecond, TimeSpan.FromSeconds(5));
        server.MaxRequestBodySize = MaxBodyBytes;
        server.MaxRequestBufferSize = BufferBytes;
        server.MinRequestBodyDataRate = rate;
        server.MinResponseDataRate = rate;

        // Windows of HTTP/2, which TLS brings with it.
        server.Http2.InitialConnectionWindowSize = 2 * BufferBytes;
        server.Http2.InitialStreamWindowSize = BufferBytes;
    }

    /// <summary>What a connection reads ahead, and what it keeps for a client that does not read.</summary>
    public static void Apply(SocketTransportOptions sockets) => (sockets.MaxReadBufferSize, sockets.MaxWriteBufferSize) = (BufferBytes, BufferBytes);

    private static void Require(bool condition, string name, string rule, double value)
    {
        if (!condition)
            throw new InvalidOperationException($"Service:{name} must be {rule}; it was {value}.");
    }
}
