namespace AttentionGpu.Hosting;

/// <summary>
/// An engine and its layers in a service: requests wait in a bounded queue, are joined, and run one batch at a time. What is registered for
/// this interface is used throughout, so a test may register a service of its own after <c>AddAttention</c>: then no engine is made.
/// </summary>
public interface IAttentionService
{
    /// <summary>The service's name; empty for the one without.</summary>
    string Name { get; }

    /// <summary>The device in use now.</summary>
    DeviceInfo Device { get; }

    /// <summary>Whether the device that was asked for has failed and the fallback is used.</summary>
    bool UsesFallback { get; }

    /// <summary>Requests that wait.</summary>
    int QueueDepth { get; }

    /// <summary>The layers by name; the service's own ignore the case of names.</summary>
    IReadOnlyDictionary<string, IAttentionLayer> Layers { get; }

    /// <summary>Adds a layer with given parameters.</summary>
    /// <typeparam name="T">
    /// The layer's element type, to which its parameters are rounded: <see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>.
    /// </typeparam>
    /// <param name="name">Its name; there must be none such.</param>
    /// <param name="config">The layer's sizes.</param>
    /// <param name="weights">The parameters; kept where there is a fallback device, and must not change then.</param>
    /// <exception cref="ArgumentException">The name is taken, or a size or shape is wrong.</exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory; none is kept.</exception>
    /// <exception cref="ObjectDisposedException">The service is disposed.</exception>
    IAttentionLayer AddLayer<T>(string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
        where T : unmanaged;

    /// <summary>As the other <c>AddLayer</c>, with a cache for sessions; <see cref="IAttentionLayer.Sessions"/>.</summary>
    /// <typeparam name="T">The layer's element type.</typeparam>
    /// <param name="name">Its name; there must be none such.</param>
    /// <param name="config">The layer's sizes.</param>
    /// <param name="weights">The parameters.</param>
    /// <param name="cache">The cache, which must not change from now on.</param>
    /// <exception cref="ArgumentException">As for the other, or an option of the cache is wrong.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory; none is kept.</exception>
    /// <exception cref="NotSupportedException">The service is a test's own, without sessions.</exception>
    IAttentionLayer AddLayer<T>(
        string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights, AttentionCacheOptions cache)
        where T : unmanaged =>
        throw new NotSupportedException("This service has no sessions.");

    /// <summary>Runs every layer once, so that kernels are compiled.</summary>
    Task WarmUpAsync(CancellationToken cancellationToken = default);

    /// <summary>
    /// Goes back from the fallback to the device that was asked for, if that works again: an engine is made on it, must compute as the
    /// reference does, and takes over between two batches. Requests are served meanwhile. A health check tries it too, every
    /// <see cref="AttentionServiceOptions.FallbackRetryDelay"/>.
    /// </summary>
    /// <returns>Whether the device that was asked for is in use.</returns>
    Task<bool> ReturnFromFallbackAsync(CancellationToken cancellationToken = default) => Task.FromResult(!UsesFallback);
}
