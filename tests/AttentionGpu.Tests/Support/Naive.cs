using System.Numerics.Tensors;

namespace AttentionGpu.Tests.Support;

/// <summary>
/// A second independent implementation, in the tests: attention straight from its definition, in float64, by indices of tensors. It
/// shares no code and no loop order with the engine's backends.
/// </summary>
internal static class Naive
{
    /// <summary>A whole layer on batch-first tensors.</summary>
    public static (Tensor<float> Output, Tensor<float> Weights) Layer(
        MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights, Tensor<float> query, Tensor<float> key, Tensor<float> value,
        Causal causal = Causal.None, Func<int, int, int, bool>? isVisible = null)
    {
        int batch = (int)query.Lengths[0];
        int queries = (int)query.Lengths[1];
        int keys = (int)key.Lengths[1];
        int heads = config.Heads;
        int size = config.HeadSize ?? config.EmbeddingSize / heads;
        int group = heads / (config.KeyValueHeads ?? heads);
        double scale = config.Scale ?? 1.0 / Math.Sqrt(size);
        double[,,] q = Project(query, weights.Query, weights.QueryBias);
        double[,,] k = Project(key, weights.Key, weights.KeyBias);
        double[,,] v = Project(value, weights.Value, weights.ValueBias);
        Tensor<float> output = Tensor.CreateFromShape<float>(query.Lengths);
        Tensor<float> attention = Tensor.CreateFromShape<float>([batch, heads, queries, keys]);
        for (int b = 0; b < batch; b++)
        {
            for (int i = 0; i < queries; i++)
            {
                var joined = new double[heads * size];
                for (int h = 0; h < heads; h++)
                {
                    double[] exponentials =
                    [
                        .. Enumerable.Range(0, keys).Select(j =>
                            (causal == Causal.TopLeft && j > i) || isVisible?.Invoke(b, i, j) == false
                                ? 0.0
                                : Math.Exp(scale * Enumerable.Range(0, size).Sum(d => q[b, i, h * size + d] * k[b, j, h / group * size + d]))),
                    ];
                    double total = exponentials.Sum();
                    for (int j = 0; j < keys; j++)
                    {
                        double weight = total == 0.0 ? 0.0 : exponentials[j] / total;
                        attention[b, h, i, j] = (float)weight;
                        for (int d = 0; d < size; d++)
                            joined[h * size + d] += weight * v[b, j, h / group * size + d];
                    }
                }

                for (int e = 0; e < config.EmbeddingSize; e++)
                {
                    output[b, i, e] = (float)(joined.Select((x, c) => x * weights.Output[e, c]).Sum() + (weights.OutputBias?[e] ?? 0f));
                }
            }
        }

        return (output, attention);
    }

    private static double[,,] Project(Tensor<float> input, Tensor<float> weight, Tensor<float>? bias)
    {
        var result = new double[input.Lengths[0], input.Lengths[1], weight.Lengths[0]];
        for (int b = 0; b < input.Lengths[0]; b++)
        {
            for (int i = 0; i < input.Lengths[1]; i++)
            {
                for (int r = 0; r < weight.Lengths[0]; r++)
                {
                    double sum = bias?[r] ?? 0f;
                    for (int c = 0; c < weight.Lengths[1]; c++)
                        sum += (double)input[b, i, c] * weight[r, c];
                    result[b, i, r] = sum;
                }
            }
        }

        return result;
    }
}
