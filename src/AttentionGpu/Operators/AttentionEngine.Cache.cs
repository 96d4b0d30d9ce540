using AttentionGpu.Elements;
using AttentionGpu.Operators;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Rows of a cache that are written without queries.</content>
public sealed partial class AttentionEngine
{
    /// <summary>
    /// Writes the rows of a batch into a layer of its cache as they are, and attends to nothing: keys and values for cross-attention, which
    /// batches of <see cref="KeyValueCache.Read"/> attend to later.
    /// </summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>.</typeparam>
    /// <param name="key">[tokens of the batch, key/value heads of the cache, head size].</param>
    /// <param name="value">
    /// [tokens of the batch, key/value heads of the cache, value head size]; left out where the cache has values in keys.
    /// </param>
    /// <param name="cache">A batch of <see cref="KeyValueCache.Append"/>, of a cache of this engine.</param>
    /// <param name="cacheLayer">The layer of the cache.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, the batch appends no rows, there is no such layer, or a tensor or the cache is another engine's. Nothing is
    /// written.
    /// </exception>
    /// <exception cref="InvalidOperationException">The batch has written the layer already.</exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The engine, the cache or a tensor is disposed, or the batch has ended.</exception>
    public void WriteCache<T>(TensorInput<T> key, TensorInput<T> value, KeyValueBatch cache, int cacheLayer = 0)
        where T : unmanaged
    {
        var call = new CallMemory(Lifetime);
        try
        {
            ElementTypes.Of<T>();
            var inputs = new AttentionInputs<T> { Query = default, Key = key, Value = value, Cache = cache, CacheLayer = cacheLayer };
            AttentionHeads heads = CacheRules.ReadRows(inputs, Lifetime.Memory.IsHostMemory);
            Attend(
                ref call, heads, inputs, new AttentionOutputs<T> { Output = default }, AttentionOptions.Default, AttentionNames.Operator,
                default(NoSteps));
        }
        finally
        {
            call.Dispose();
        }
    }
}
