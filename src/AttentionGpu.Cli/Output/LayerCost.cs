namespace AttentionGpu.Cli.Output;

/// <summary>What a call of a layer costs at least.</summary>
/// <param name="Operations">Floating-point operations: two a multiply-add; pairs that a causal mask or a window hides do not count.</param>
/// <param name="Bytes">Inputs, parameters and outputs, once each.</param>
internal sealed record LayerCost(double Operations, long Bytes)
{
    /// <param name="config">The layer's sizes.</param>
    /// <param name="sequences">Queries and keys of each batch entry or ragged sequence.</param>
    /// <param name="causal">Which keys a query sees by its position.</param>
    /// <param name="needWeights">Whether the attention weights are written.</param>
    /// <param name="elementBytes">Bytes of an element.</param>
    public static LayerCost Of(
        MultiHeadAttentionConfig config, IReadOnlyList<(nint Queries, nint Keys)> sequences, Causal causal, bool needWeights,
        int elementBytes = sizeof(float))
    {
        double queries = sequences.Sum(sequence => (double)sequence.Queries);
        double keys = sequences.Sum(sequence => (double)sequence.Keys);
        int headSize = config.HeadSize ?? config.EmbeddingSize / config.Heads;
        double queryRows = (double)config.Heads * headSize;
        double keyRows = (double)(config.KeyValueHeads ?? config.Heads) * headSize;
        double keySize = config.KeySize ?? config.EmbeddingSize;
        double valueSize = config.ValueSize ?? config.EmbeddingSize;
        double parameters = (2 * queryRows * config.EmbeddingSize) + (keyRows * (keySize + valueSize));
        double projections = 2 * ((2 * queries * queryRows * config.EmbeddingSize) + (keys * keyRows * (keySize + valueSize)));
        double attention = 4.0 * config.Heads * headSize
            * sequences.Sum(sequence => (double)VisiblePairs.Count(causal, sequence.Queries, sequence.Keys, config.Window));
        double elements = parameters + (2 * queries * config.EmbeddingSize) + (keys * keySize)
            + (needWeights ? config.Heads * sequences.Sum(sequence => (double)sequence.Queries * sequence.Keys) : 0);
        return new LayerCost(projections + attention, (long)(elements * elementBytes));
    }
}
