using System.Globalization;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.RateLimiting;

namespace AttentionGpu.Service.Guards;

/// <summary>
/// Limits of one client, whose excess is 429, and one of all together, whose excess is 503. Nothing waits for a limit: the queue of
/// attention is where requests wait.
/// </summary>
internal static class RateLimits
{
    /// <summary>The limit of all clients together, for endpoints that compute.</summary>
    public const string AllTogether = "all together";

    public static void Add(IServiceCollection services, RateLimitOptions limits) => services.AddRateLimiter(options =>
    {
        options.GlobalLimiter = PartitionedRateLimiter.CreateChained(
            PartitionedRateLimiter.Create<HttpContext, string>(context => Rate(context, limits)),
            PartitionedRateLimiter.Create<HttpContext, string>(context => Concurrency(context, limits)));
        options.OnRejected = (refused, _) => RefuseClientAsync(refused);
        options.AddPolicy(AllTogether, new AllTogetherPolicy(limits.ConcurrentRequests));
    });

    // Probes and scrapes have a part of their own: a client behind the same proxy cannot use it up.
    private static RateLimitPartition<string> Rate(HttpContext context, RateLimitOptions limits)
    {
        string key = $"{(OperationsPort.IsOperation(context) ? "operations" : "requests")} {ClientIdentity.Of(context)}";
        return limits.RequestsPerSecond == 0.0
            ? RateLimitPartition.GetNoLimiter(key)
            : RateLimitPartition.GetTokenBucketLimiter(key, _ => new TokenBucketRateLimiterOptions
            {
                TokenLimit = limits.Burst,
                TokensPerPeriod = 1,
                ReplenishmentPeriod = TimeSpan.FromSeconds(1.0 / limits.RequestsPerSecond),
            });
    }

    private static RateLimitPartition<string> Concurrency(HttpContext context, RateLimitOptions limits)
    {
        string key = ClientIdentity.Of(context);
        return limits.ConcurrentRequestsPerClient == 0 || OperationsPort.IsOperation(context)
            ? RateLimitPartition.GetNoLimiter("none")
            : RateLimitPartition.GetConcurrencyLimiter(
                key, _ => new ConcurrencyLimiterOptions { PermitLimit = limits.ConcurrentRequestsPerClient });
    }

    private static async ValueTask RefuseClientAsync(OnRejectedContext refused)
    {
        bool isRate = refused.Lease.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan wait);
        await RefuseAsync(
            refused.HttpContext, StatusCodes.Status429TooManyRequests, isRate ? wait : TimeSpan.Zero,
            isRate ? "The client has sent too many requests." : "The client has too many requests at the same time.").ConfigureAwait(false);
    }

    private static Task RefuseAsync(HttpContext context, int status, TimeSpan wait, string title)
    {
        double seconds = Math.Clamp(Math.Ceiling(wait.TotalSeconds), 1.0, int.MaxValue);
        context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        return Problem.WriteAsync(context, status, title, $"Try again in {seconds:F0} s.");
    }

    private sealed class AllTogetherPolicy(int limit) : IRateLimiterPolicy<string>
    {
        public Func<OnRejectedContext, CancellationToken, ValueTask>? OnRejected { get; } = (refused, _) => new(
            RefuseAsync(
                refused.HttpContext, StatusCodes.Status503ServiceUnavailable, TimeSpan.Zero, "The service has too much to do."));

        public RateLimitPartition<string> GetPartition(HttpContext httpContext) => limit == 0
            ? RateLimitPartition.GetNoLimiter(AllTogether)
            : RateLimitPartition.GetConcurrencyLimiter(AllTogether, _ => new ConcurrencyLimiterOptions { PermitLimit = limit });
    }
}
