using AttentionGpu.Hosting;

namespace AttentionGpu.Service;

/// <summary>Where no layer is configured there is one with random parameters, named "demo", so that the service answers.</summary>
internal sealed class DemoLayer(IAttentionService service) : IHostedService
{
    private const int Embedding = 512;
    private const int Heads = 8;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (service.Layers.Count > 0)
            return Task.CompletedTask;
        var config = new MultiHeadAttentionConfig { EmbeddingSize = Embedding, Heads = Heads };
        service.AddLayer<float>("demo", config, MultiHeadAttentionWeights.Random(config, seed: 1));
        return service.WarmUpAsync(cancellationToken);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
