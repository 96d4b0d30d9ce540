using System.Numerics.Tensors;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace AttentionGpu.Hosting;

/// <summary>
/// Runs a small problem on a service's device and compares it with the reference: unhealthy where it differs or fails, degraded on the
/// fallback device. Of a service that a test has put in place of the package's own, it tells the fallback alone.
/// </summary>
public sealed class AttentionHealthCheck(IAttentionService service) : IHealthCheck
{
    private const int Heads = 2;
    private const int Length = 12;
    private const int Size = 16;
    private const float Tolerance = 1e-4f;

    private static readonly Lazy<float[]> _expected = new(() =>
    {
        using var reference = new AttentionEngine("reference");
        return Run(reference);
    });

    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var data = new Dictionary<string, object> { ["device"] = service.Device.Name, ["queueDepth"] = service.QueueDepth };
        if (service is not AttentionService own)
            return Task.FromResult(State("is not checked: it is that of another IAttentionService", data));
        data["memoryInUse"] = own.Engine.MemoryInUse;
        try
        {
            float[] difference = [.. Run(own.Engine).Zip(_expected.Value, (actual, expected) => MathF.Abs(actual - expected))];
            if (!(TensorPrimitives.Max(difference) <= Tolerance))
                return Task.FromResult(HealthCheckResult.Unhealthy($"{service.Device.Name} computes something else than the reference.", data: data));
        }
        catch (Exception exception)
        {
            return Task.FromResult(HealthCheckResult.Unhealthy($"{service.Device.Name} fails.", exception, data));
        }

        return Task.FromResult(State("agrees with the reference", data));
    }

    private HealthCheckResult State(string healthy, IReadOnlyDictionary<string, object> data) => service.UsesFallback
        ? HealthCheckResult.Degraded($"The fallback device, {service.Device.Name}, is in use.", data: data)
        : HealthCheckResult.Healthy($"{service.Device.Name} {healthy}.", data);

    private static float[] Run(AttentionEngine engine)
    {
        nint[] lengths = [1, Heads, Length, Size];
        var random = new Random(1);
        float[][] inputs = [.. Enumerable.Range(0, 3).Select(_ => Enumerable.Range(0, Heads * Length * Size).Select(_ => random.NextSingle() - 0.5f).ToArray())];
        var output = new float[Heads * Length * Size];
        engine.ScaledDotProductAttention<float>(
            new ReadOnlyTensorSpan<float>(inputs[0], lengths), new ReadOnlyTensorSpan<float>(inputs[1], lengths),
            new ReadOnlyTensorSpan<float>(inputs[2], lengths), new TensorSpan<float>(output, lengths), new AttentionOptions { Causal = Causal.TopLeft });
        return output;
    }
}
