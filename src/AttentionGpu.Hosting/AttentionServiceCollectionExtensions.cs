using System.Diagnostics.Metrics;
using AttentionGpu.Hosting;
using Microsoft.Extensions.Configuration;
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
    /// <exception cref="ArgumentException">There is a service of that name, in whatever case, already.</exception>
    public static OptionsBuilder<AttentionServiceOptions> AddAttention(
        this IServiceCollection services, Action<AttentionServiceOptions>? configure = null, string name = "")
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(name);
        services.AddMetrics();
        services.AddLogging();
        if (services.Any(service => service.ImplementationInstance is Registration one && one.Is(name)))
        {
            string which = name.Length == 0 ? "without a name" : $"with the name '{name}', in this or another case";
            throw new ArgumentException(
                $"{nameof(AddAttention)} was called already {which}: "
                + "each service needs a name of its own. Options of one can be set further with the builder that the first call returned.",
                nameof(name));
        }

        services.AddSingleton(new Registration(name));
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<AttentionServiceOptions>, AttentionOptionsValidation>());
        if (name.Length == 0)
            services.AddSingleton<IAttentionService>(provider => Create(provider, name));
        else
            services.AddKeyedSingleton<IAttentionService>(name, (provider, _) => Create(provider, name));
        services.AddSingleton<IHostedService>(provider => new AttentionStart(provider, name));
        services.AddHealthChecks().Add(new HealthCheckRegistration(
            name.Length == 0 ? "attention" : $"attention-{name}",
            provider => new AttentionHealthCheck(Find(provider, name)), failureStatus: null, tags: null));
        OptionsBuilder<AttentionServiceOptions> options = services.AddOptions<AttentionServiceOptions>(name).ValidateOnStart();
        return configure is null ? options : options.Configure(configure);
    }

    /// <summary>
    /// Binds a service's options to a section of the configuration. A setting that there is no option for, that cannot be read, or that
    /// is text where settings belong below it, stops the host's start.
    /// </summary>
    /// <param name="options">What <see cref="AddAttention"/> returned.</param>
    /// <param name="section">The section's path, such as <c>Attention</c>; empty for the whole configuration.</param>
    public static OptionsBuilder<AttentionServiceOptions> BindConfiguration(
        this OptionsBuilder<AttentionServiceOptions> options, string section) =>
        options.BindConfiguration(section, RefuseUnknown)
            .Configure<IConfiguration>((_, all) => SettingShapes.Require(section.Length == 0 ? all : all.GetSection(section)));

    /// <summary>
    /// Binds a service's options to a configuration. A setting that there is no option for, that cannot be read, or that is text where
    /// settings belong below it, stops the host's start.
    /// </summary>
    /// <param name="options">What <see cref="AddAttention"/> returned.</param>
    /// <param name="configuration">The configuration, or a section.</param>
    public static OptionsBuilder<AttentionServiceOptions> Bind(
        this OptionsBuilder<AttentionServiceOptions> options, IConfiguration configuration) =>
        options.Bind(configuration, RefuseUnknown).Configure(_ => SettingShapes.Require(configuration));

    private static void RefuseUnknown(BinderOptions binder) => binder.ErrorOnUnknownConfiguration = true;

    private static AttentionService Create(IServiceProvider provider, string name) => new(
        name,
        provider.GetRequiredService<IOptionsMonitor<AttentionServiceOptions>>().Get(name),
        provider.GetRequiredService<IMeterFactory>(),
        provider.GetRequiredService<ILogger<AttentionService>>());

    private static IAttentionService Find(IServiceProvider provider, string name) =>
        name.Length == 0 ? provider.GetRequiredService<IAttentionService>() : provider.GetRequiredKeyedService<IAttentionService>(name);

    // What tells a second registration.
    private sealed class Registration(string name)
    {
        public bool Is(string other) => name.Equals(other, StringComparison.OrdinalIgnoreCase);
    }

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
