using System.Numerics.Tensors;
using AttentionGpu.KeyValueCaches;
using AttentionGpu.Layers;
using AttentionGpu.Operators;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Calls whose keys and values are in a cache.</content>
public sealed partial class MultiHeadAttention<T>
{
    /// <summary>
    /// A step of sequences of a key/value cache. With a batch of <see cref="KeyValueCache.Append"/> self-attention: keys and values of the
    /// tokens are written behind the rows of their sequence, normalised and rotated, and the queries attend to all of them. With a batch of
    /// <see cref="KeyValueCache.Read"/> cross-attention: queries alone are made, and attend to the rows that the sequences have. Any number
    /// of tokens of each sequence, prompts and single tokens side by side.
    /// </summary>
    /// <remarks>
    /// Positions count on from the rows of the sequence, those too that a window has dropped; queries that append nothing have those of the
    /// last rows, and tokens of a tree those of their depth. Rotary embedding whose frequencies depend on the length goes by the sequence's
    /// length after the step, in a tree by that of its longest path; keys stay as they were rotated. Extra keys of the layer are seen by
    /// every query, and are not written.
    /// </remarks>
    /// <param name="input">[tokens of the batch, embedding size], the tokens of one sequence after another, in the batch's order.</param>
    /// <param name="output">The shape of the input; all of it is written. Must not overlap the input.</param>
    /// <param name="cache">
    /// The batch. Its cache has the layer's key/value heads and head size, and where it keeps a window, at least the layer's.
    /// </param>
    /// <param name="cacheLayer">The layer of the cache: the layers of a model share a cache, and each step's batch.</param>
    /// <param name="causal">
    /// Which keys a query may see by position alone, the last query standing at the last row; null for those up to its own where the batch
    /// appends, else for all.
    /// </param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, the cache does not fit the layer, has no such layer or is another engine's, the batch's tokens form a tree
    /// and the layer has a window or goes by distances, sequences have rotary embeddings that differ by length, a tensor is another
    /// engine's, or the output overlaps the input. Nothing is written.
    /// </exception>
    /// <exception cref="InvalidOperationException">The batch has written the layer already.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">
    /// The layer, its engine, the cache or a tensor is disposed, or the batch has ended.
    /// </exception>
    public void Forward(TensorInput<T> input, TensorOutput<T> output, KeyValueBatch cache, int cacheLayer = 0, Causal? causal = null)
    {
        RequireBatch(cache);
        Run(
            new MultiHeadAttentionInputs<T> { Query = input, Cache = cache, CacheLayer = cacheLayer, Causal = causal },
            new MultiHeadAttentionOutputs<T> { Output = output },
            AttentionNames.LayerOfInput);
    }

    /// <summary>As the other call, and returns its output in host memory.</summary>
    /// <inheritdoc cref="Forward(TensorInput{T}, TensorOutput{T}, KeyValueBatch, int, Causal?)" path="/remarks"/>
    /// <inheritdoc cref="Forward(TensorInput{T}, TensorOutput{T}, KeyValueBatch, int, Causal?)" path="/param"/>
    /// <inheritdoc cref="Forward(TensorInput{T}, TensorOutput{T}, KeyValueBatch, int, Causal?)" path="/exception"/>
    /// <returns>A tensor of the shape of the input.</returns>
    public Tensor<T> Forward(TensorInput<T> input, KeyValueBatch cache, int cacheLayer = 0, Causal? causal = null)
    {
        Tensor<T> output = HostTensor.CreateOutput<T>(input.Lengths, nameof(input));
        Forward(input, output, cache, cacheLayer, causal);
        return output;
    }

    /// <summary>
    /// Makes the keys and values of cross-attention and writes them behind the rows of their sequences: what batches of
    /// <see cref="KeyValueCache.Read"/> attend to, as often as they like. No queries are made.
    /// </summary>
    /// <param name="context">[tokens of the batch, key size], the tokens of one sequence after another: the encoder's output.</param>
    /// <param name="cache">A batch of <see cref="KeyValueCache.Append"/>, of a cache as for the calls with queries.</param>
    /// <param name="cacheLayer">The layer of the cache.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, the batch appends no rows, or as for the calls with queries. Nothing is written.
    /// </exception>
    /// <exception cref="InvalidOperationException">The batch has written the layer already.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">
    /// The layer, its engine, the cache or a tensor is disposed, or the batch has ended.
    /// </exception>
    public void WriteCache(TensorInput<T> context, KeyValueBatch cache, int cacheLayer = 0)
    {
        if (!context.IsPresent)
            throw ShapeRules.Error(context.Lengths, "must be given", nameof(context));
        WriteCache(context, default, cache, cacheLayer);
    }

    /// <summary>As the other call, with keys and values from tensors of their own.</summary>
    /// <param name="key">[tokens of the batch, key size].</param>
    /// <param name="value">[tokens of the batch, value size]; left out where it is the same as for keys.</param>
    /// <param name="cache">As for the other call.</param>
    /// <param name="cacheLayer">The layer of the cache.</param>
    /// <inheritdoc cref="WriteCache(TensorInput{T}, KeyValueBatch, int)" path="/exception"/>
    public void WriteCache(TensorInput<T> key, TensorInput<T> value, KeyValueBatch cache, int cacheLayer = 0)
    {
        RequireBatch(cache);
        if (!key.IsPresent)
            throw ShapeRules.Error(key.Lengths, "must be given", nameof(key));
        Run(
            new MultiHeadAttentionInputs<T> { Query = default, Key = key, Value = value, Cache = cache, CacheLayer = cacheLayer },
            new MultiHeadAttentionOutputs<T> { Output = default },
            AttentionNames.Layer,
            writesOnly: true);
    }

    // The default value is no batch: without this the call would be one without a cache.
    private static void RequireBatch(KeyValueBatch cache)
    {
        if (!cache.IsPresent)
            throw BadInput.Because(nameof(cache), $"'{nameof(cache)}' must be a batch of a cache; it is the default value.");
    }

    private void RequireCache(
        scoped in MultiHeadAttentionInputs<T> inputs, KeyValueBatchState cache, AttentionNames names, bool writesOnly)
    {
        bool hasDistances = Parameters.AlibiSlopes is not null || Parameters.DistanceBias is not null;
        LayerCacheRules.Require(Config, hasDistances, cache, inputs.CacheLayer);
        if (writesOnly)
            CacheRules.RequireAppends(cache);
        else
            LayerCacheRules.RequireTokens(inputs.Query.Lengths, cache, names.Query);
        CacheRules.RefuseRows(inputs.Key, inputs.Value, cache);
        if (inputs.Key.IsPresent)
            LayerCacheRules.RequireTokens(inputs.Key.Lengths, cache, "key");
    }

    // Rows of the rotary tables that a call with a cache needs: positions that nobody gave end where the longest sequence does.
    private int CachedPositions(scoped in AttentionInputs<T> attention, KeyValueBatchState cache)
    {
        int longest = 0;
        for (int i = 0; i < cache.Sequences.Length; i++)
        {
            if (HasTokens(cache, i))
                longest = Math.Max(longest, cache.LastPosition(i) + 1);
        }

        int positions = Positions(attention.QueryPositions, longest, "queryPositions");
        if (cache.Appends)
            positions = Math.Max(positions, Positions(attention.KeyPositions, longest, "keyPositions"));
        if (attention.QueryPositions.Rank == 0)
        {
            for (int i = 0; i < cache.Sequences.Length; i++)
            {
                if (HasTokens(cache, i))
                    RequireOneStage(cache.LastPosition(i) + 1, positions, "cache");
            }
        }

        return positions;
    }

    private static bool HasTokens(KeyValueBatchState cache, int sequence) => cache.Starts[sequence] < cache.Starts[sequence + 1];
}
