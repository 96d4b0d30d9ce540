using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>A cache of keys and values for layers of the model.</content>
public sealed partial class AttentionModel
{
    /// <summary>
    /// Options of a <see cref="KeyValueCache"/> that all layers of a part share, with their number, key/value heads and head size. The
    /// cache's layer i is for the i-th of these layers in the order of <see cref="Layers"/>. A <c>with</c> expression adds how rows are
    /// kept and stored: by default contiguous, in float32 whatever the layers' element type.
    /// </summary>
    /// <param name="capacity">See <see cref="KeyValueCacheOptions.Capacity"/>.</param>
    /// <param name="sequences">See <see cref="KeyValueCacheOptions.Sequences"/>.</param>
    /// <param name="stack">The part; null where only one has attention of the kind.</param>
    /// <param name="isCross">
    /// Whether it is cross-attention, whose rows are written once, by
    /// <see cref="MultiHeadAttention{T}.WriteCache(TensorInput{T}, KeyValueBatch, int)"/>.
    /// </param>
    /// <exception cref="ArgumentException">
    /// There is no such layer; several parts have one; layers differ in key/value heads or head size; or tokens see those behind them, so
    /// that rows cannot be kept for tokens to come.
    /// </exception>
    public KeyValueCacheOptions CacheOptions(int capacity, int sequences, ModelStack? stack = null, bool isCross = false)
    {
        AttentionModelLayer[] layers = [.. Layers.Where(layer => layer.IsCross == isCross && (stack is null || layer.Stack == stack))];
        string kind = isCross ? "cross-attention" : "self-attention";
        if (layers.Length == 0)
        {
            throw BadInput.Because(
                nameof(stack), $"'{Path}' has no layer of {kind}{(stack is null ? "" : $" in the {Name(stack.Value)}")}.");
        }

        AttentionModelLayer first = layers[0];
        if (Array.Find(layers, layer => layer.Stack != first.Stack) is { } other)
        {
            throw BadInput.Because(
                nameof(stack), $"The stack must be given, because the {Name(first.Stack)} and the {Name(other.Stack)} have {kind}.");
        }

        foreach (AttentionModelLayer layer in layers)
        {
            if (!isCross && !layer.IsCausal)
            {
                throw BadInput.Because(
                    nameof(stack),
                    $"Tokens of '{layer.Prefix}' see those behind them, so that its rows cannot be kept for tokens to come.");
            }

            if (layer.Config.ActualKeyValueHeads != first.Config.ActualKeyValueHeads
                || layer.Config.ActualHeadSize != first.Config.ActualHeadSize)
            {
                throw BadInput.Because(
                    nameof(stack), $"The layers must be alike to share a cache; {Heads(first)}, and {Heads(layer)}.");
            }
        }

        return new KeyValueCacheOptions
        {
            Layers = layers.Length,
            KeyValueHeads = first.Config.ActualKeyValueHeads,
            HeadSize = first.Config.ActualHeadSize,
            Capacity = capacity,
            Sequences = sequences,
        };
    }

    private static string Name(ModelStack stack) => stack.ToString().ToLowerInvariant();

    private static string Heads(AttentionModelLayer layer) =>
        $"'{layer.Prefix}' has {layer.Config.ActualKeyValueHeads} key/value heads of size {layer.Config.ActualHeadSize}";
}
