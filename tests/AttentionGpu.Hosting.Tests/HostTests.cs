using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Numerics.Tensors;
using AttentionGpu.Hosting.Diagnostics;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;
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
    private static CancellationToken Token => TestContext.Current.CancellationToken;

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
        builder.Services.AddAttention().BindConfiguration("Attention");
        builder.Services.AddAttention(options => options.Device = "reference", "second");
        using IHost host = builder.Build();
        await host.StartAsync(Token);
        IAttentionService service = host.Services.GetRequiredService<IAttentionService>();
        Assert.Equal("simd", service.Device.Name);
        Assert.Equal(7, host.Services.GetRequiredService<IOptionsMonitor<AttentionServiceOptions>>().Get("").QueueLimit);
        Assert.Equal("reference", host.Services.GetRequiredKeyedService<IAttentionService>("second").Device.Name);
        HealthReport report = await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(Token);
        Assert.Equal(HealthStatus.Healthy, report.Status);
        Assert.Equal(["attention", "attention-second"], report.Entries.Keys.Order());
        await host.StopAsync(Token);
    }

    [Fact]
    public void Services_and_a_name_must_be_given()
    {
        Assert.Throws<ArgumentNullException>("services", () => AttentionServiceCollectionExtensions.AddAttention(null!));
        Assert.Throws<ArgumentNullException>("name", () => new ServiceCollection().AddAttention(name: null!));
    }

    [Fact]
    public void A_provider_can_be_disposed_without_waiting()
    {
        using ServiceProvider provider = new ServiceCollection().AddAttention(options => options.Device = "simd").Services.BuildServiceProvider();
        Assert.Equal("simd", provider.GetRequiredService<IAttentionService>().Device.Name);
    }

    [Fact]
    public async Task A_named_service_is_a_keyed_one_apart()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddAttention(options => options.Device = "simd", "first");
        builder.Services.AddAttention(options => options.Device = "reference", "second");
        using IHost host = builder.Build();
        await host.StartAsync(Token);
        IAttentionService first = host.Services.GetRequiredKeyedService<IAttentionService>("first");
        IAttentionService second = host.Services.GetRequiredKeyedService<IAttentionService>("second");
        Assert.Equal(("first", "simd", "second", "reference"), (first.Name, first.Device.Name, second.Name, second.Device.Name));
        Assert.Same(first, host.Services.GetRequiredKeyedService<IAttentionService>("first"));
        Assert.Null(host.Services.GetService<IAttentionService>());
        HealthReport report = await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(Token);
        Assert.Equal(
            [("attention-first", "simd"), ("attention-second", "reference")],
            report.Entries.Select(entry => (entry.Key, (string)entry.Value.Data["device"])).Order());
        await host.StopAsync(Token);
    }

    [Theory]
    [InlineData(null, 3)]
    [InlineData("true", 3)]
    [InlineData("false", 0)]
    public async Task Layers_of_checkpoints_are_warmed_up_if_wanted(string? warmUp, int requests)
    {
        string path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid()}.safetensors");
        WriteLayers(path);
        try
        {
            using var telemetry = new Telemetry();
            HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
            if (warmUp is not null)
                builder.Configuration["Attention:WarmUp"] = warmUp;
            builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
            {
                ["Attention:Device"] = "simd",
                ["Attention:Layers:whole:Path"] = path,
                ["Attention:Layers:whole:Heads"] = "4",
                ["Attention:Layers:whole:Prefix"] = "first",
                ["Attention:Layers:grouped:Path"] = path,
                ["Attention:Layers:grouped:Heads"] = "4",
                ["Attention:Layers:grouped:KeyValueHeads"] = "2",
                ["Attention:Layers:grouped:Prefix"] = "second",
                ["Attention:Layers:half:Path"] = path,
                ["Attention:Layers:half:Heads"] = "4",
                ["Attention:Layers:half:Prefix"] = "first",
                ["Attention:Layers:half:ElementType"] = "float16",
            });
            builder.Services.AddSingleton<IMeterFactory>(telemetry);
            builder.Services.AddAttention().BindConfiguration("Attention");
            using IHost host = builder.Build();
            await host.StartAsync(Token);
            Assert.Equal(requests, telemetry.Sum("attention.requests", "completed"));
            IAttentionService service = host.Services.GetRequiredService<IAttentionService>();
            Assert.Equal(["grouped", "half", "whole"], service.Layers.Keys.Order());
            IAttentionLayer whole = service.Layers["whole"];
            Assert.Equal(("whole", 32, 4, 4), (whole.Name, whole.Config.EmbeddingSize, whole.Config.Heads, whole.Config.KeyValueHeads));
            Assert.Equal((4, 2), (service.Layers["grouped"].Config.Heads, service.Layers["grouped"].Config.KeyValueHeads));
            float[] input = Fixture.Input(5, 1);
            (Task task, float[] output) = SchedulerTests.Forward(whole, input);
            await task;
            Close.Assert(Fixture.Expected(input), output, "output");
            Assert.Equal((typeof(float), typeof(Half)), (whole.ElementType, service.Layers["half"].ElementType));
            Half[] halves = ElementArrays.Poisoned<Half>(input.Length);
            await service.Layers["half"].ForwardAsync<Half>(ElementArrays.Round<Half>(input), halves, cancellationToken: Token);
            Close.Assert(Fixture.Expected(input), ElementArrays.Widen(halves), "output", ElementArrays.Tolerance<Half>());
            await host.StopAsync(Token);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public async Task A_layer_of_a_checkpoint_has_the_positions_that_its_options_state()
    {
        string path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid()}.safetensors");
        MultiHeadAttentionWeights weights = Fixture.Weights;
        SafetensorsFile.Write(path, new Dictionary<string, Tensor<float>>
        {
            ["q_proj.weight"] = weights.Query,
            ["k_proj.weight"] = weights.Key,
            ["v_proj.weight"] = weights.Value,
            ["o_proj.weight"] = weights.Output,
            ["q_proj.bias"] = weights.QueryBias!,
            ["k_proj.bias"] = weights.KeyBias!,
            ["v_proj.bias"] = weights.ValueBias!,
            ["o_proj.bias"] = weights.OutputBias!,
        });
        try
        {
            var none = new AttentionLayerOptions { Path = path, Heads = 4, Positions = LayerPositions.None };
            var rotary = new AttentionLayerOptions
            {
                Path = path,
                Heads = 4,
                Rotary = new AttentionRotaryOptions { Base = 500.0 },
                Window = 2,
                Softcap = 3f,
                Scale = 0.5f,
            };
            var options = new AttentionServiceOptions { Device = "simd", Layers = { ["none"] = none, ["rotary"] = rotary } };
            await using (AttentionService service = Fixture.Create(options))
            {
                MultiHeadAttentionConfig config = service.Layers["rotary"].Config;
                Assert.Equal(new RotaryEmbedding { Base = 500.0 }, config.Rotary);
                Assert.Equal((2, 3f, 0.5f), (config.Window!.Left, config.Softcap, config.Scale));
                float[] input = Fixture.Input(5, 1);
                (Task task, float[] output) = SchedulerTests.Forward(service.Layers["none"], input);
                await task;
                Close.Assert(Fixture.Expected(input), output, "output");
            }

            options.Layers["none"].Positions = LayerPositions.Unstated;
            InvalidDataException exception =
                await Assert.ThrowsAsync<InvalidDataException>(async () => await Fixture.Create(options).DisposeAsync());
            Assert.StartsWith("The layer 'none' cannot be loaded from", exception.Message, StringComparison.Ordinal);
            Assert.Contains("state the positions", exception.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public async Task OpenTelemetry_sees_metrics_and_traces()
    {
        List<Metric> metrics = [];
        List<Activity> activities = [];
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddAttention(options => options.Device = "simd");
        using MeterProvider meters = Sdk.CreateMeterProviderBuilder().AddMeter(AttentionInstruments.Name).AddInMemoryExporter(metrics).Build();
        using TracerProvider tracer = Sdk.CreateTracerProviderBuilder().AddSource(AttentionInstruments.Name).AddInMemoryExporter(activities).Build();
        using IHost host = builder.Build();
        await host.StartAsync(Token);
        IAttentionLayer layer =
            host.Services.GetRequiredService<IAttentionService>().AddLayer<float>("traced", Fixture.Config, Fixture.Weights);
        for (int i = 0; i < 3; i++)
            await SchedulerTests.Forward(layer, Fixture.Input(5, i)).Task;
        Activity? before = Activity.Current;
        Task last = layer.ForwardAsync<float>(Fixture.Input(5, 3), new float[5 * Fixture.Embedding], cancellationToken: Token);
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

    // A layer as it is, and one of two key/value heads under a prefix.
    private static void WriteLayers(string path)
    {
        var grouped = MultiHeadAttentionWeights.Random(new() { EmbeddingSize = Fixture.Embedding, Heads = 4, KeyValueHeads = 2 }, seed: 5);
        var tensors = new Dictionary<string, Tensor<float>>();
        foreach ((string prefix, MultiHeadAttentionWeights weights) in new[] { ("first.", Fixture.Weights), ("second.", grouped) })
        {
            tensors[$"{prefix}in_proj_weight"] = Tensor.Concatenate<float>([weights.Query, weights.Key, weights.Value]);
            tensors[$"{prefix}in_proj_bias"] = Tensor.Concatenate<float>([weights.QueryBias!, weights.KeyBias!, weights.ValueBias!]);
            tensors[$"{prefix}out_proj.weight"] = weights.Output;
            tensors[$"{prefix}out_proj.bias"] = weights.OutputBias!;
        }

        SafetensorsFile.Write(path, tensors);
    }
}
