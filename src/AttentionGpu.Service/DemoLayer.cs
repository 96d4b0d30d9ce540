using AttentionGpu.Hosting;

namespace AttentionGpu.Service;

/// <summary>Where no layer is configured there is one with random parameters, named "demo", so that the service answers.</summary>
internal sealed class DemoLayer(IAttentionService service, AttentionCacheOptions cache) : IHostedService
{
    private const int Embedding = 512;
    private const int Heads = 8;

    // Of keys and values of sessions, where the settings tell nothing.
    private const long CacheBytes = 64 << 20;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (service.Layers.Count > 0)
            return Task.CompletedTask;
        var config = new MultiHeadAttentionConfig { EmbeddingSize = Embedding, Heads = Heads };
        if (cache.Pages is null)
            cache.MemoryBytes ??= CacheBytes;
        service.AddLayer<float>("demo", config, MultiHeadAttentionWeights.Random(config, seed: 1), cache);
        return service.WarmUpAsync(cancellationToken);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
