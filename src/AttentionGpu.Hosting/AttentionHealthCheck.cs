using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace AttentionGpu.Hosting;

/// <summary>
/// Runs a small problem through a service's queue, before the requests that wait, and compares it with the reference: unhealthy where it
/// differs, fails or does not come back in time, degraded on the fallback device. There it tries to go back first, every
/// <see cref="AttentionServiceOptions.FallbackRetryDelay"/>. Of a service that a test has put in place of the package's own, it tells the
/// fallback alone.
/// </summary>
public sealed class AttentionHealthCheck(IAttentionService service) : IHealthCheck
{
    /// <inheritdoc/>
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        if (service is not AttentionService own)
            return State("is not checked: it is that of another IAttentionService", Data());
        try
        {
            if (!await own.CheckHealthAsync(cancellationToken).ConfigureAwait(false))
                return Unhealthy("computes something else than the reference");
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
        catch (TimeoutException exception)
        {
            return Unhealthy("has not answered in time", exception);
        }
        catch (Exception exception)
        {
            return Unhealthy("fails", exception);
        }

        return State("agrees with the reference", Data());

        HealthCheckResult Unhealthy(string state, Exception? exception = null) =>
            HealthCheckResult.Unhealthy($"{service.Device.Name} {state}.", exception, Data());

        Dictionary<string, object> Data()
        {
            var data = new Dictionary<string, object> { ["device"] = service.Device.Name, ["queueDepth"] = service.QueueDepth };
            if (service is AttentionService measured)
                data["memoryInUse"] = measured.Engine.MemoryInUse;
            return data;
        }
    }

    private HealthCheckResult State(string healthy, IReadOnlyDictionary<string, object> data) => service.UsesFallback
        ? HealthCheckResult.Degraded($"The fallback device, {service.Device.Name}, is in use.", data: data)
        : HealthCheckResult.Healthy($"{service.Device.Name} {healthy}.", data);
}
