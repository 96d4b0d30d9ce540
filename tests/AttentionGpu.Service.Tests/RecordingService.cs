using AttentionGpu.Hosting;

namespace AttentionGpu.Service.Tests;

/// <summary>A service with one layer, which is itself: it keeps the options of its requests, and computes nothing or fails.</summary>
internal sealed class RecordingService(Exception? failure = null) : IAttentionService, IAttentionLayer
{
    public List<ForwardOptions> Requests { get; } = [];

    public string Name => "";

    public DeviceInfo Device { get; } = new() { Name = "fake", Kind = DeviceKind.Reference, Description = "computes nothing" };

    public bool UsesFallback => false;

    public int QueueDepth => 0;

    public IReadOnlyDictionary<string, IAttentionLayer> Layers => new Dictionary<string, IAttentionLayer> { ["layer"] = this };

    public MultiHeadAttentionConfig Config { get; } = new() { EmbeddingSize = SmallService.Embedding, Heads = SmallService.Heads };

    public Type ElementType => typeof(float);

    public IAttentionLayer AddLayer<T>(string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
        where T : unmanaged => throw new NotSupportedException();

    public Task WarmUpAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task ForwardAsync<T>(ReadOnlyMemory<T> input, Memory<T> output, ForwardOptions options, CancellationToken cancellationToken)
        where T : unmanaged
    {
        Requests.Add(options);
        return failure is null ? Task.CompletedTask : Task.FromException(failure);
    }

    public Task ForwardWithWeightsAsync<T>(
        ReadOnlyMemory<T> input, Memory<T> output, Memory<T> weights, ForwardOptions options, CancellationToken cancellationToken)
        where T : unmanaged => ForwardAsync(input, output, options, cancellationToken);
}
