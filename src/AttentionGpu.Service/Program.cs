using AttentionGpu.Hosting;
using AttentionGpu.Hosting.Diagnostics;
using AttentionGpu.Service;
using AttentionGpu.Service.Guards;
using OpenTelemetry.Metrics;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
ServiceLimits limits = ServiceSettings.Read<ServiceLimits>(builder.Configuration, "Service");
AccessOptions access = ServiceSettings.Read<AccessOptions>(builder.Configuration, "Access");
RateLimitOptions rates = ServiceSettings.Read<RateLimitOptions>(builder.Configuration, "RateLimits");
builder.WebHost.ConfigureKestrel(options => limits.Apply(options.Limits)).UseSockets(ServiceLimits.Apply);
builder.Services.AddSingleton(limits).AddSingleton<MemoryBudget>().AddHostedService<MemoryReturn>();
builder.Services.AddAttention().BindConfiguration("Attention");
AttentionCacheOptions cache = ServiceSettings.Read<AttentionCacheOptions>(builder.Configuration, "DemoCache");
builder.Services.AddHostedService(provider => new DemoLayer(provider.GetRequiredService<IAttentionService>(), cache));

// The framework refuses content types before a request is read.
builder.Services.AddProblemDetails(options => options.CustomizeProblemDetails = context =>
{
    if (context.ProblemDetails.Status == StatusCodes.Status415UnsupportedMediaType)
        context.ProblemDetails.Detail ??= RequestContent.Rule;
});
builder.Services.AddExceptionHandler<AttentionProblems>();
builder.Services.ConfigureHttpJsonOptions(options => ServiceJson.Configure(options.SerializerOptions));
builder.Services.AddOpenTelemetry().WithMetrics(metrics => metrics
    .AddMeter(AttentionInstruments.Name, "Microsoft.AspNetCore.*", "System.Runtime").AddPrometheusExporter());
ApiDescription.Add(builder.Services, access);
Access.Add(builder.Services, access);
RateLimits.Add(builder.Services, rates);

WebApplication app = builder.Build();
app.UseForwardedHeaders();
app.UseExceptionHandler(AttentionProblems.Options);
app.UseStatusCodePages();
OperationsPort.Use(app, access);
app.UseDefaultFiles();
app.UseStaticFiles();

// A client that is not known counts by its address, before it is refused: keys cannot be guessed without end.
app.UseAuthentication();
app.UseRateLimiter();
app.UseAuthorization();
OperationsPort.MapOperation(app.MapOpenApi(), access);
OperationsPort.MapOperation(app.MapPrometheusScrapingEndpoint("/metrics"), access);
OperationsPort.MapHealth(app.MapHealthChecks("/health"));
AttentionEndpoints.Map(app);
SessionEndpoints.Map(app);
app.Run();
