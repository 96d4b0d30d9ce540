using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace AttentionGpu.Hosting.Tests;

/// <summary>A program's tests put a service of their own in place of this one: then no engine is made.</summary>
public class FakeTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("")]
    [InlineData("named")]
    public async Task A_fake_takes_the_place_of_the_service(string name)
    {
        var fake = new FakeService(name);
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddAttention(options => options.Layers["never read"] = new() { Path = "nowhere", Heads = 1 }, name);
        if (name.Length == 0)
            builder.Services.AddSingleton<IAttentionService>(fake);
        else
            builder.Services.AddKeyedSingleton<IAttentionService>(name, fake);
        builder.Services.AddTransient(provider => new Consumer(name.Length == 0
            ? provider.GetRequiredService<IAttentionService>()
            : provider.GetRequiredKeyedService<IAttentionService>(name)));
        using IHost host = builder.Build();
        await host.StartAsync(Token);
        Assert.Equal(1, fake.WarmUps);
        float[] output = await host.Services.GetRequiredService<Consumer>().RunAsync([1f, 2f]);
        Assert.Equal([2f, 3f], output);
        HealthReport report = await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(Token);
        HealthReportEntry entry = Assert.Single(report.Entries).Value;
        Assert.Equal((HealthStatus.Healthy, "fake"), (entry.Status, entry.Data["device"]));
        Assert.Contains("is not checked", entry.Description, StringComparison.Ordinal);
        Assert.True(await ((IAttentionService)fake).ReturnFromFallbackAsync(Token));
        fake.UsesFallback = true;
        Assert.False(await ((IAttentionService)fake).ReturnFromFallbackAsync(Token));
        Assert.Equal(HealthStatus.Degraded, (await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(Token)).Status);
        await host.StopAsync(Token);
    }

    /// <summary>What a program has that uses a layer.</summary>
    private sealed class Consumer(IAttentionService service)
    {
        public async Task<float[]> RunAsync(float[] input)
        {
            var output = new float[input.Length];
            await service.Layers["layer"].ForwardAsync<float>(input, output, cancellationToken: Token);
            return output;
        }
    }

    private sealed class FakeService(string name) : IAttentionService
    {
        private readonly Dictionary<string, IAttentionLayer> _layers = new() { ["layer"] = new AddsOne() };

        public int WarmUps { get; private set; }

        public string Name => name;

        public DeviceInfo Device { get; } = new() { Name = "fake", Kind = DeviceKind.Reference, Description = "adds one" };

        public bool UsesFallback { get; set; }

        public int QueueDepth => 0;

        public IReadOnlyDictionary<string, IAttentionLayer> Layers => _layers;

        public IAttentionLayer AddLayer<T>(string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
            where T : unmanaged => throw new NotSupportedException();

        public Task WarmUpAsync(CancellationToken cancellationToken)
        {
            WarmUps++;
            return Task.CompletedTask;
        }
    }

    private sealed class AddsOne : IAttentionLayer
    {
        public string Name => "layer";

        public MultiHeadAttentionConfig Config => Fixture.Config;

        public Type ElementType => typeof(float);

        public Task ForwardAsync<T>(ReadOnlyMemory<T> input, Memory<T> output, ForwardOptions options, CancellationToken cancellationToken)
            where T : unmanaged
        {
            for (int i = 0; i < input.Length; i++)
                output.Span[i] = (T)(object)((float)(object)input.Span[i] + 1f);
            return Task.CompletedTask;
        }

        public Task ForwardWithWeightsAsync<T>(
            ReadOnlyMemory<T> input, Memory<T> output, Memory<T> weights, ForwardOptions options, CancellationToken cancellationToken)
            where T : unmanaged => throw new NotSupportedException();
    }
}
