namespace AttentionGpu.Hosting.Devices;

/// <summary>A layer on a device, and the cache of its sessions there, if it has one.</summary>
internal sealed record MadeLayer(MultiHeadAttention Layer, KeyValueCache? Cache) : IDisposable
{
    /// <summary>Makes both, or none.</summary>
    public static MadeLayer Create(AttentionEngine engine, MultiHeadAttention layer, AttentionCacheOptions? cache)
    {
        try
        {
            return new MadeLayer(layer, cache?.Create(engine, layer.Config));
        }
        catch
        {
            layer.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            Cache?.Dispose();
        }
        finally
        {
            Layer.Dispose();
        }
    }
}
