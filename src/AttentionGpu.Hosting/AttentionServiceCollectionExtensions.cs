using System.Diagnostics.Metrics;
using AttentionGpu.Hosting;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds attention to a host's services.</summary>
public static class AttentionServiceCollectionExtensions
{
    /// <summary>
    /// Adds an <see cref="IAttentionService"/>. Options are validated, and the engine made and warmed up, when the host starts. The one
    /// without a name is a service of its type; one with a name is the keyed service of that name.
    /// </summary>
    /// <param name="services">The host's services.</param>
    /// <param name="configure">Sets options; bind them to configuration with the builder that is returned.</param>
    /// <param name="name">The service's name, where there are several devices.</param>
    /// <returns>The options' builder, for <c>BindConfiguration</c> and further validation.</returns>
    public static OptionsBuilder<AttentionServiceOptions> AddAttention(
        this IServiceCollection services, Action<AttentionServiceOptions>? configure = null, string name = "")
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(name);
        services.AddMetrics();
        services.AddLogging();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<AttentionServiceOptions>, AttentionLayerValidation>());
        if (name.Length == 0)
            services.AddSingleton<IAttentionService>(provider => Create(provider, name));
        else
            services.AddKeyedSingleton<IAttentionService>(name, (provider, _) => Create(provider, name));
        services.AddSingleton<IHostedService>(provider => new AttentionStart(provider, name));
        services.AddHealthChecks().Add(new HealthCheckRegistration(
            name.Length == 0 ? "attention" : $"attention-{name}",
            provider => new AttentionHealthCheck(Find(provider, name)), failureStatus: null, tags: null));
        OptionsBuilder<AttentionServiceOptions> options = services.AddOptions<AttentionServiceOptions>(name).ValidateDataAnnotations()
            .Validate(
                one => one.Device == "auto" || IsUsable(one.Device),
                "Device must be a device of this machine, or auto.")
            .Validate(
                one => one.FallbackDevice is null || IsUsable(one.FallbackDevice),
                "FallbackDevice must be a device of this machine.")
            .ValidateOnStart();
        return configure is null ? options : options.Configure(configure);
    }

    private static bool IsUsable(string name) =>
        AttentionGpu.AttentionEngine.ListDevices().Any(device => device.Name == name && device.Problem is null);

    private static AttentionService Create(IServiceProvider provider, string name) => new(
        name,
        provider.GetRequiredService<IOptionsMonitor<AttentionServiceOptions>>().Get(name),
        provider.GetRequiredService<IMeterFactory>(),
        provider.GetRequiredService<ILogger<AttentionService>>());

    private static IAttentionService Find(IServiceProvider provider, string name) =>
        name.Length == 0 ? provider.GetRequiredService<IAttentionService>() : provider.GetRequiredKeyedService<IAttentionService>(name);

    // Makes the engine when the host starts, rather than at the first request.
    private sealed class AttentionStart(IServiceProvider provider, string name) : IHostedService
    {
        public async Task StartAsync(CancellationToken cancellationToken)
        {
            IAttentionService service = Find(provider, name);
            if (provider.GetRequiredService<IOptionsMonitor<AttentionServiceOptions>>().Get(name).WarmUp)
                await service.WarmUpAsync(cancellationToken).ConfigureAwait(false);
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
