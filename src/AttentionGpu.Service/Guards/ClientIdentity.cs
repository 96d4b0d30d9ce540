using System.Net;
using System.Net.Sockets;
using System.Security.Claims;

namespace AttentionGpu.Service.Guards;

/// <summary>Which client a request is of: its turns in the queue and its limits are counted by this.</summary>
internal static class ClientIdentity
{
    /// <summary>The claim that names a client: the key's name, or the token's subject.</summary>
    public const string Subject = "sub";

    private const string Issuer = "iss";

    // A subscriber has a network of 64 bits, and all addresses in it.
    private const int NetworkBytes = 8;

    /// <summary>
    /// The client that has proved who it is; else the address that the connection, or a trusted proxy, tells. A header that nobody checked
    /// is no identity, and neither is a connection: whoever opens more of them would have more turns.
    /// </summary>
    public static string Of(HttpContext context)
    {
        ClaimsPrincipal user = context.User;
        if (user.Identity?.IsAuthenticated == true && user.FindFirstValue(Subject) is { } subject)
            return user.FindFirstValue(Issuer) is { } issuer ? $"client {subject} of {issuer}" : $"client {subject}";
        return $"address {Network(context.Connection.RemoteIpAddress)}";
    }

    private static string Network(IPAddress? address)
    {
        if (address is null)
            return "unknown";
        if (address.IsIPv4MappedToIPv6)
            return address.MapToIPv4().ToString();
        if (address.AddressFamily != AddressFamily.InterNetworkV6)
            return address.ToString();
        byte[] bytes = address.GetAddressBytes();
        bytes.AsSpan(NetworkBytes).Clear();
        return $"{new IPAddress(bytes)}/{8 * NetworkBytes}";
    }
}
