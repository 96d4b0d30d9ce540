using System.Numerics.Tensors;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Support;

/// <summary>
/// A whole layer straight from its definition: the projections in float64 by indices of tensors, and <see cref="NaiveAttention"/>.
/// </summary>
internal static class NaiveLayer
{
    /// <summary>Runs a layer on batch-first tensors.</summary>
    public static (Tensor<float> Output, Tensor<float> Weights) Run(
        MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights, Tensor<float> query, Tensor<float> key, Tensor<float> value,
        Causal causal = Causal.None, Func<int, int, int, bool>? isVisible = null)
    {
        (int batch, int queries, int keys) = ((int)query.Lengths[0], (int)query.Lengths[1], (int)key.Lengths[1]);
        int size = config.HeadSize ?? config.EmbeddingSize / config.Heads;
        var mask = Tensor.CreateFromShape<bool>([batch, 1, queries, keys]);
        for (int b = 0; b < batch; b++)
        {
            for (int i = 0; i < queries; i++)
            {
                for (int j = 0; j < keys; j++)
                    mask[b, 0, i, j] = isVisible?.Invoke(b, i, j) ?? true;
            }
        }

        VariantResult attended = NaiveAttention.Run(new VariantCase
        {
            Kind = VariantKind.Of(causal, VariantMask.Boolean, ScoreStage.Weights),
            Options = new AttentionOptions { Causal = causal, Scale = config.Scale },
            Batch = batch,
            Heads = config.Heads,
            KeyValueHeads = config.KeyValueHeads ?? config.Heads,
            HeadSize = size,
            ValueSize = size,
            QueryLength = queries,
            KeyLength = keys,
            Query = Heads(Project(query, weights.Query, weights.QueryBias), size),
            Key = Heads(Project(key, weights.Key, weights.KeyBias), size),
            Value = Heads(Project(value, weights.Value, weights.ValueBias), size),
            Mask = mask,
        });
        Tensor<float> joined = Tensor.PermuteDimensions(attended.Output, [0, 2, 1, 3]).ToDenseTensor();
        joined = Tensor.Create(Data.Flat(joined), [batch, queries, config.Heads * size]);
        return (Project(joined, weights.Output, weights.OutputBias), attended.Scores!);
    }

    // [batch, length, heads x size] as [batch, heads, length, size].
    private static Tensor<float> Heads(Tensor<float> rows, int size) =>
        Tensor.PermuteDimensions(Tensor.Create(Data.Flat(rows), [rows.Lengths[0], rows.Lengths[1], rows.Lengths[2] / size, size]), [0, 2, 1, 3])
            .ToDenseTensor();

    private static Tensor<float> Project(Tensor<float> input, Tensor<float> weight, Tensor<float>? bias)
    {
        var result = Tensor.CreateFromShape<float>([input.Lengths[0], input.Lengths[1], weight.Lengths[0]]);
        for (int b = 0; b < input.Lengths[0]; b++)
        {
            for (int i = 0; i < input.Lengths[1]; i++)
            {
                for (int r = 0; r < weight.Lengths[0]; r++)
                {
                    double sum = bias?[r] ?? 0f;
                    for (int c = 0; c < weight.Lengths[1]; c++)
                        sum += (double)input[b, i, c] * weight[r, c];
                    result[b, i, r] = (float)sum;
                }
            }
        }

        return result;
    }
}
