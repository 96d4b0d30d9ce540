using System.Numerics.Tensors;

namespace AttentionGpu.Tests.Support;

/// <summary>The sizes of a random layer, and the seed of its numbers.</summary>
public sealed record LayerSizes(
    int Batch, int KeyValueHeads, int Group, int HeadSize, int QueryLength, int KeyLength, bool Cross, bool OwnSizes, bool Bias, bool Causal,
    int Seed);

/// <summary>A layer with its inputs.</summary>
internal sealed record LayerCase(
    MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights, Tensor<float> Query, Tensor<float> Key, Tensor<float> Value,
    Causal Causal)
{
    public static LayerCase Create(LayerSizes sizes)
    {
        var random = new Random(sizes.Seed);
        int heads = sizes.KeyValueHeads * sizes.Group;
        bool ownSizes = sizes.Cross && sizes.OwnSizes;
        var config = new MultiHeadAttentionConfig
        {
            EmbeddingSize = heads * sizes.HeadSize,
            Heads = heads,
            KeyValueHeads = sizes.KeyValueHeads,
            KeySize = ownSizes ? 7 : null,
            ValueSize = ownSizes ? 10 : null,
        };
        int embedding = config.EmbeddingSize;
        int keyRows = sizes.KeyValueHeads * sizes.HeadSize;
        var weights = new MultiHeadAttentionWeights
        {
            Query = Data.Random(random, embedding, embedding),
            Key = Data.Random(random, keyRows, config.KeySize ?? embedding),
            Value = Data.Random(random, keyRows, config.ValueSize ?? embedding),
            Output = Data.Random(random, embedding, embedding),
            QueryBias = sizes.Bias ? Data.Random(random, embedding) : null,

            // Some checkpoints have biases for some projections alone.
            KeyBias = sizes.Bias && sizes.Seed % 2 == 0 ? Data.Random(random, keyRows) : null,
            ValueBias = sizes.Bias ? Data.Random(random, keyRows) : null,
            OutputBias = sizes.Bias ? Data.Random(random, embedding) : null,
        };
        Tensor<float> query = Data.Random(random, sizes.Batch, sizes.QueryLength, embedding);
        Tensor<float> key = sizes.Cross ? Data.Random(random, sizes.Batch, sizes.KeyLength, config.KeySize ?? embedding) : query;
        Tensor<float> value = !sizes.Cross ? query
            : ownSizes ? Data.Random(random, sizes.Batch, sizes.KeyLength, config.ValueSize ?? embedding)
            : key;
        return new LayerCase(config, weights, query, key, value, sizes.Causal ? Causal.TopLeft : Causal.None);
    }

    /// <summary>Runs on an engine, into poisoned outputs.</summary>
    public Tensor<float> Run(AttentionEngine engine)
    {
        using var layer = new MultiHeadAttention<float>(engine, Config, Weights);
        Tensor<float> output = Data.Poisoned(Query.Lengths);
        layer.Forward(
            Query.AsReadOnlyTensorSpan(), Key.AsReadOnlyTensorSpan(), Value.AsReadOnlyTensorSpan(), output.AsTensorSpan(), Causal);
        return output;
    }

    /// <summary>Runs on an engine, into poisoned outputs and weights.</summary>
    public (Tensor<float> Output, Tensor<float> Weights) RunWithWeights(AttentionEngine engine)
    {
        using var layer = new MultiHeadAttention<float>(engine, Config, Weights);
        Tensor<float> output = Data.Poisoned(Query.Lengths);
        Tensor<float> weights = Data.Poisoned(Query.Lengths[0], Config.Heads, Query.Lengths[1], Key.Lengths[1]);
        layer.ForwardWithWeights(
            Query.AsReadOnlyTensorSpan(), Key.AsReadOnlyTensorSpan(), Value.AsReadOnlyTensorSpan(), output.AsTensorSpan(),
            weights.AsTensorSpan(), causal: Causal);
        return (output, weights);
    }
}
