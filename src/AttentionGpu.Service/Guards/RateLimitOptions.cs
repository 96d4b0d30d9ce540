using System.ComponentModel.DataAnnotations;

namespace AttentionGpu.Service.Guards;

/// <summary>How much clients may ask for. The section <c>RateLimits</c> of the configuration; 0 is no limit.</summary>
internal sealed class RateLimitOptions
{
    private const double Most = 1e6;

    /// <summary>Requests of one client a second, in the long run.</summary>
    [Range(0.0, Most)]
    public double RequestsPerSecond { get; set; } = 200.0;

    /// <summary>Requests that a client may have saved, and send at once.</summary>
    [Range(1, (int)Most)]
    public int Burst { get; set; } = 400;

    /// <summary>Requests of one client that are read, wait, are computed or answered at the same time.</summary>
    [Range(0, (int)Most)]
    public int ConcurrentRequestsPerClient { get; set; } = 64;

    /// <summary>The same of all clients together.</summary>
    [Range(0, (int)Most)]
    public int ConcurrentRequests { get; set; } = 512;
}
