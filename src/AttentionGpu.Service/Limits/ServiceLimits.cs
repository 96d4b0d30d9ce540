using System.ComponentModel.DataAnnotations;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace AttentionGpu.Service;

/// <summary>What a request may ask for, and what all of them may hold and take.</summary>
internal sealed class ServiceLimits : IValidatableObject
{
    private const int BufferBytes = 64 << 10;
    private const int LongestTransfer = 24 * 60 * 60;

    /// <summary>Bytes of a request's body.</summary>
    [Range(1, long.MaxValue)]
    public long MaxBodyBytes { get; set; } = 16 << 20;

    /// <summary>Bytes of the header of a safetensors file.</summary>
    [Range(1, int.MaxValue)]
    public int MaxHeaderBytes { get; set; } = 64 << 10;

    /// <summary>Tokens of a sequence.</summary>
    [Range(1, int.MaxValue)]
    public int MaxTokens { get; set; } = 4096;

    /// <summary>Tokens of a sequence whose weights are asked for: they are heads times tokens squared.</summary>
    [Range(1, int.MaxValue)]
    public int MaxWeightTokens { get; set; } = 256;

    /// <summary>Bytes that all requests may hold at once: bodies, inputs, outputs and weights.</summary>
    [Range(1, long.MaxValue)]
    public long MaxMemoryBytes { get; set; } = 256 << 20;

    /// <summary>Seconds in which a body must come, and in which an answer must be taken.</summary>
    [Range(1, LongestTransfer)]
    public int TransferSeconds { get; set; } = 30;

    /// <summary>Bytes a second that a client must send or take, on the average, from the fifth second on.</summary>
    [Range(double.Epsilon, double.MaxValue)]
    public double MinBytesPerSecond { get; set; } = 4096;

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
    public static void Apply(SocketTransportOptions sockets) =>
        (sockets.MaxReadBufferSize, sockets.MaxWriteBufferSize) = (BufferBytes, BufferBytes);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        // A request may hold its body, its numbers, its output and more.
        if (MaxMemoryBytes / 4 < MaxBodyBytes)
            yield return new($"MaxMemoryBytes must be at least 4 times MaxBodyBytes, {MaxBodyBytes}; it was {MaxMemoryBytes}.");
    }
}
