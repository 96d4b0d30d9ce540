using System.Diagnostics;
using AttentionGpu.Hosting.Diagnostics;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace AttentionGpu.Hosting.Tests;

public class HostTests
{
    [Fact]
    public async Task A_host_binds_validates_and_warms_up()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["Attention:Device"] = "simd",
            ["Attention:QueueLimit"] = "7",
            ["Attention:BatchDelay"] = "00:00:00.002",
        });
        builder.Services.AddAttentionEngine().BindConfiguration("Attention");
        builder.Services.AddAttentionEngine(options => options.Device = "reference", "second");
        using IHost host = builder.Build();
        await host.StartAsync(TestContext.Current.CancellationToken);
        AttentionService service = host.Services.GetRequiredService<AttentionService>();
        Assert.Equal("simd", service.Device.Name);
        Assert.Equal(7, host.Services.GetRequiredService<IOptionsMonitor<AttentionServiceOptions>>().Get("").QueueLimit);
        Assert.Equal("reference", host.Services.GetRequiredKeyedService<AttentionService>("second").Device.Name);
        HealthReport report = await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(TestContext.Current.CancellationToken);
        Assert.Equal(HealthStatus.Healthy, report.Status);
        Assert.Equal(["attention", "attention-second"], report.Entries.Keys.Order());
        await host.StopAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public void A_provider_can_be_disposed_without_waiting()
    {
        using ServiceProvider provider = new ServiceCollection().AddAttentionEngine(options => options.Device = "simd").Services.BuildServiceProvider();
        Assert.Equal("simd", provider.GetRequiredService<AttentionService>().Device.Name);
    }

    [Theory]
    [InlineData("Device", "cuda:99", "Device must be a device of this machine")]
    [InlineData("FallbackDevice", "nowhere", "FallbackDevice")]
    [InlineData("QueueLimit", "0", "QueueLimit")]
    [InlineData("Threads", "0", "Threads")]
    [InlineData("BatchDelay", "-00:00:01", "BatchDelay")]
    public async Task A_bad_option_stops_the_start(string option, string value, string message)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?> { ["Device"] = "simd", [option] = value });
        builder.Services.AddAttentionEngine().Bind(builder.Configuration);
        using IHost host = builder.Build();
        OptionsValidationException exception = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(TestContext.Current.CancellationToken));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OpenTelemetry_sees_metrics_and_traces()
    {
        List<Metric> metrics = [];
        List<Activity> activities = [];
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddAttentionEngine(options => options.Device = "simd");
        using MeterProvider meters = Sdk.CreateMeterProviderBuilder().AddMeter(AttentionInstruments.Name).AddInMemoryExporter(metrics).Build();
        using TracerProvider tracer = Sdk.CreateTracerProviderBuilder().AddSource(AttentionInstruments.Name).AddInMemoryExporter(activities).Build();
        using IHost host = builder.Build();
        await host.StartAsync(TestContext.Current.CancellationToken);
        AttentionLayer layer = host.Services.GetRequiredService<AttentionService>().AddLayer("traced", Fixture.Config, Fixture.Weights);
        for (int i = 0; i < 3; i++)
            await SchedulerTests.Forward(layer, Fixture.Input(5, i)).Task;
        Activity? before = Activity.Current;
        Task last = layer.ForwardAsync(Fixture.Input(5, 3), new float[5 * Fixture.Embedding], cancellationToken: TestContext.Current.CancellationToken);
        Assert.Same(before, Activity.Current);
        await last;
        meters.ForceFlush();
        tracer.ForceFlush();
        string[] expected =
        [
            "attention.batch.size", "attention.bytes", "attention.device.memory", "attention.device.time", "attention.fallback", "attention.queue.depth",
            "attention.queue.wait", "attention.requests",
        ];
        Assert.Subset(metrics.Select(metric => metric.Name).ToHashSet(), expected.ToHashSet());
        Activity[] mine = [.. activities.Where(activity => Equals(activity.GetTagItem("attention.layer"), "traced"))];
        Assert.Equal(4, mine.Length);
        Assert.All(mine, activity => Assert.Equal((5, "completed"), (activity.GetTagItem("attention.tokens"), activity.GetTagItem("attention.outcome"))));
    }
}
