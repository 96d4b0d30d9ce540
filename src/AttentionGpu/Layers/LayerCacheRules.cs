using AttentionGpu.KeyValueCaches;
using AttentionGpu.Operators;
using AttentionGpu.Tensors;

namespace AttentionGpu.Layers;

/// <summary>What a cache and a batch must be for a call of a layer.</summary>
internal static class LayerCacheRules
{
    /// <summary>Checks the cache's sizes, its layer and its window.</summary>
    /// <param name="config">The layer's.</param>
    /// <param name="hasDistances">Whether the layer has ALiBi slopes or distance biases.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="cacheLayer">The layer of the cache.</param>
    /// <exception cref="ArgumentException">The cache does not fit the layer, or has no such layer.</exception>
    /// <exception cref="InvalidOperationException">The batch has written the layer already.</exception>
    public static void Require(MultiHeadAttentionConfig config, bool hasDistances, KeyValueBatchState batch, int cacheLayer)
    {
        KeyValueCacheOptions cache = batch.Cache.Options;
        (int heads, int size) = (config.ActualKeyValueHeads, config.ActualHeadSize);
        if (cache.ValuesInKeys)
            throw Error("must have values of their own, as the layer has; its values are the first elements of the keys");
        if (cache.KeyValueHeads != heads || cache.HeadSize != size || cache.ActualValueHeadSize != size)
        {
            throw Error(
                $"must have the layer's {heads} key/value heads of size {size}; it has {cache.KeyValueHeads}, with keys of size "
                + $"{cache.HeadSize} and values of size {cache.ActualValueHeadSize}");
        }

        CacheRules.RequireLayer(batch, cacheLayer);
        if (batch.Tree.Exists && (hasDistances || config.Window is not null))
        {
            throw BadInput.Because(
                "cache",
                "The batch of 'cache' must have no parents: the layer has "
                + (hasDistances ? "ALiBi slopes or distance biases" : "a window") + ", which go by the order of rows.");
        }

        if (cache.Window is int window && (config.Window?.Left is not int left || left >= window))
        {
            throw Error(
                $"must keep the keys that the layer sees; it keeps those of a window of {window}, and the layer sees "
                + (config.Window?.Left is int sees ? $"{sees} keys to the left of its own" : "all keys to the left"));
        }
    }

    /// <summary>Requires the tokens of a batch.</summary>
    /// <param name="lengths">[tokens, size].</param>
    /// <param name="batch">The batch.</param>
    /// <param name="name">What the tensor is called.</param>
    public static void RequireTokens(ReadOnlySpan<nint> lengths, KeyValueBatchState batch, string name)
    {
        if (lengths.Length != 2 || lengths[0] != batch.Tokens)
            throw ShapeRules.Error(lengths, $"must be [tokens of the cache's batch, size] with {batch.Tokens} tokens", name);
    }

    private static ArgumentException Error(string rule) => BadInput.Because("cache", $"The cache of 'cache' {rule}.");
}
