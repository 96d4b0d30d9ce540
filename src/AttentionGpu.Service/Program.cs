using AttentionGpu.Hosting.Diagnostics;
using AttentionGpu.Service;
using OpenTelemetry.Metrics;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
ServiceLimits limits = builder.Configuration.GetSection("Service").Get<ServiceLimits>() ?? new ServiceLimits();
limits.Validate();
builder.WebHost.ConfigureKestrel(options => limits.Apply(options.Limits)).UseSockets(ServiceLimits.Apply);
builder.Services.AddSingleton(limits).AddSingleton<MemoryBudget>().AddHostedService<MemoryReturn>();
builder.Services.AddAttention().BindConfiguration("Attention");
builder.Services.AddHostedService<DemoLayer>();
builder.Services.AddProblemDetails();
builder.Services.AddExceptionHandler<AttentionProblems>();
builder.Services.AddOpenApi();
builder.Services.ConfigureHttpJsonOptions(options => ServiceJson.Configure(options.SerializerOptions));
builder.Services.AddOpenTelemetry().WithMetrics(metrics => metrics.AddMeter(AttentionInstruments.Name).AddPrometheusExporter());

WebApplication app = builder.Build();
app.UseExceptionHandler();
app.UseStatusCodePages();
app.UseDefaultFiles();
app.UseStaticFiles();
app.MapOpenApi();
app.MapHealthChecks("/health");
app.MapPrometheusScrapingEndpoint("/metrics");
AttentionEndpoints.Map(app);
app.Run();
