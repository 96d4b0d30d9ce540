namespace AttentionGpu.Cli.Output;

/// <summary>What a call of a layer costs at least.</summary>
/// <param name="Operations">Floating-point operations: two a multiply-add; pairs that a causal mask or a window hides do not count.</param>
/// <param name="Bytes">Inputs, parameters and outputs, once each.</param>
internal sealed record LayerCost(double Operations, long Bytes)
{
    public static LayerCost Of(
        MultiHeadAttentionConfig config, ReadOnlySpan<nint> input, nint keyLength, Causal causal, bool needWeights)
    {
        double batch = input[0];
        double queryLength = input[1];
        int headSize = config.HeadSize ?? config.EmbeddingSize / config.Heads;
        double queryRows = (double)config.Heads * headSize;
        double keyRows = (double)(config.KeyValueHeads ?? config.Heads) * headSize;
        double keySize = config.KeySize ?? config.EmbeddingSize;
        double valueSize = config.ValueSize ?? config.EmbeddingSize;
        double parameters = (2 * queryRows * config.EmbeddingSize) + (keyRows * (keySize + valueSize));
        double projections = 2 * batch
            * ((2 * queryLength * queryRows * config.EmbeddingSize) + (keyLength * keyRows * (keySize + valueSize)));
        double attention = 4 * batch * config.Heads * headSize * VisiblePairs.Count(causal, input[1], keyLength, config.Window);
        double elements = parameters + (2 * batch * queryLength * config.EmbeddingSize) + (batch * keyLength * keySize)
            + (needWeights ? batch * config.Heads * queryLength * keyLength : 0);
        return new LayerCost(projections + attention, (long)(elements * sizeof(float)));
    }
}
