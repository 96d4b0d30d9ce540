using System.Numerics.Tensors;

namespace AttentionGpu.Tests.Variants;

/// <summary>
/// Attention with all variants straight from their definitions, in float64, by indices of tensors: it shares no code, no layouts and no
/// loop
/// order with the engine's backends. Ragged sequences are cut apart and run one by one.
/// </summary>
internal static class NaiveAttention
{
    public static VariantResult Run(VariantCase problem)
    {
        VariantResult result = new(
            Tensor.CreateFromShape<float>(problem.IsRagged
                ? [problem.QueryLength, problem.Heads, problem.ValueSize]
                : [problem.Batch, problem.Heads, problem.QueryLength, problem.ValueSize]),
            problem.Kind.Scores switch
            {
                null => null,
                ScoreStage.AverageWeights => Tensor.CreateFromShape<float>([problem.Batch, problem.QueryLength, problem.ScoreColumns]),
                _ => Tensor.CreateFromShape<float>([problem.Batch, problem.Heads, problem.QueryLength, problem.ScoreColumns]),
            },
            !problem.Kind.LogSumExp ? null
                : Tensor.CreateFromShape<float>(problem.IsRagged ? [problem.Heads, problem.QueryLength] : [problem.Batch, problem.Heads, problem.QueryLength]),
            problem.Kind.Present ? Present(problem, keys: true) : null,
            problem.Kind.Present ? Present(problem, keys: false) : null);
        int sequences = problem.IsRagged ? problem.QueryStarts.Length - 1 : problem.Batch;
        for (int sequence = 0; sequence < sequences; sequence++)
        {
            for (int head = 0; head < problem.Heads; head++)
            {
                int queries = problem.IsRagged ? problem.QueryStarts[sequence + 1] - problem.QueryStarts[sequence] : problem.QueryLength;
                for (int query = 0; query < queries; query++)
                    Row(problem, result, sequence, head, query, queries);
            }
        }

        WriteRest(problem, result);
        return result;
    }

    /// <summary>
    /// What is added to the scores of a problem that is not ragged, [batch, heads, query length, key length]: -inf hides a key.
    /// </summary>
    public static Tensor<float> Added(VariantCase problem)
    {
        Tensor<float> added = Tensor.CreateFromShape<float>([problem.Batch, problem.Heads, problem.QueryLength, problem.TotalKeys]);
        for (int batch = 0; batch < problem.Batch; batch++)
        {
            int seen = problem.KeyLengths.Length > 0 ? problem.KeyLengths[batch] : problem.TotalKeys;
            for (int head = 0; head < problem.Heads; head++)
            {
                for (int query = 0; query < problem.QueryLength; query++)
                {
                    for (int key = 0; key < problem.TotalKeys; key++)
                    {
                        added[batch, head, query, key] = IsVisible(problem, batch, head, query, key, problem.QueryLength, seen)
                            ? (float)Bias(problem, batch, head, query, key, seen - problem.QueryLength)
                            : float.NegativeInfinity;
                    }
                }
            }
        }

        return added;
    }

    private static void Row(VariantCase problem, VariantResult result, int sequence, int head, int query, int queries)
    {
        int keyHead = head / (problem.Heads / problem.KeyValueHeads);
        int keys = problem.IsRagged ? problem.KeyStarts[sequence + 1] - problem.KeyStarts[sequence] : problem.TotalKeys;
        int seen = problem.KeyLengths.Length > 0 ? problem.KeyLengths[sequence] : keys;
        double[] q = QueryRow(problem, sequence, head, query);
        AttentionOptions options = problem.Options;
        double scale = options.Scale ?? 1.0 / Math.Sqrt(problem.HeadSize);

        // The caller's extra key and that of zeros come last.
        int columns = keys + problem.ScoreColumns - problem.TotalKeys;
        var products = new double[columns];
        var capped = new double[columns];
        var scores = new double[columns];
        for (int key = 0; key < columns; key++)
        {
            double[] row = key < keys ? KeyRow(problem, sequence, keyHead, key)
                : key == keys && problem.ExtraKey is not null
                    ? [.. Enumerable.Range(0, q.Length).Select(i => (double)problem.ExtraKey[keyHead, i])]
                : new double[q.Length];
            products[key] = scale * q.Zip(row, (a, b) => a * b).Sum();
            capped[key] = options.Softcap is float cap ? cap * Math.Tanh(products[key] / cap) : products[key];
            scores[key] = key >= keys ? capped[key]
                : IsSeen(problem, sequence, head, query, key, queries, seen)
                ? capped[key] + Bias(problem, sequence, head, query, key, seen - queries)
                : double.NegativeInfinity;
        }

        double sink = problem.Sinks is null ? double.NegativeInfinity : problem.Sinks[head];
        double largest = scores.Append(sink).Max();
        double total = double.IsNegativeInfinity(largest) ? 0.0 : scores.Append(sink).Sum(score => Math.Exp(score - largest));
        double[] weights = [.. scores.Select(score => total == 0.0 ? 0.0 : Math.Exp(score - largest) / total)];
        for (int i = 0; i < problem.ValueSize; i++)
        {
            double sum = 0.0;
            foreach (int key in Enumerable.Range(0, seen).Where(key => IsSeen(problem, sequence, head, query, key, queries, seen)))
                sum += weights[key] * ValueRow(problem, sequence, keyHead, key, i);
            if (problem.ExtraValue is not null)
                sum += weights[keys] * problem.ExtraValue[keyHead, i];
            if (problem.IsRagged)
                result.Output[problem.QueryStarts[sequence] + query, head, i] = (float)sum;
            else
                result.Output[sequence, head, query, i] = (float)sum;
        }

        if (result.LogSumExp is not null)
        {
            float value = total == 0.0 ? float.NegativeInfinity : (float)(largest + Math.Log(total));
            if (problem.IsRagged)
                result.LogSumExp[head, problem.QueryStarts[sequence] + query] = value;
            else
                result.LogSumExp[sequence, head, query] = value;
        }

        if (result.Scores is null)
            return;
        for (int key = 0; key < columns; key++)
        {
            if (problem.Kind.Scores == ScoreStage.AverageWeights)
            {
                result.Scores[sequence, query, key] += (float)(weights[key] / problem.Heads);
                continue;
            }

            result.Scores[sequence, head, query, key] = (float)(problem.Kind.Scores switch
            {
                ScoreStage.Products => products,
                ScoreStage.Softcapped => capped,
                ScoreStage.Masked => scores,
                _ => weights,
            })[key];
        }
    }

    /// <summary>Whether a query sees a key, which a bias of -inf hides.</summary>
    public static bool Sees(VariantCase problem, int sequence, int head, int query, int key)
    {
        int keys = problem.IsRagged ? problem.KeyStarts[sequence + 1] - problem.KeyStarts[sequence] : problem.TotalKeys;
        int queries = problem.IsRagged ? problem.QueryStarts[sequence + 1] - problem.QueryStarts[sequence] : problem.QueryLength;
        return IsSeen(problem, sequence, head, query, key, queries, problem.KeyLengths.Length > 0 ? problem.KeyLengths[sequence] : keys);
    }

    private static bool IsSeen(VariantCase problem, int sequence, int head, int query, int key, int queries, int seen) =>
        IsVisible(problem, sequence, head, query, key, queries, seen)
        && (problem.Bias is null || !float.IsNegativeInfinity(Broadcast(problem.Bias, sequence, head, query, key)))
        && (problem.PaddingBias is null || !float.IsNegativeInfinity(problem.PaddingBias[sequence, key]));

    // Tokens behind the last ragged sequence: outputs are zeros.
    private static void WriteRest(VariantCase problem, VariantResult result)
    {
        if (!problem.IsRagged || result.LogSumExp is null)
            return;
        for (int head = 0; head < problem.Heads; head++)
        {
            for (int token = problem.QueryStarts[^1]; token < problem.QueryLength; token++)
                result.LogSumExp[head, token] = problem.Sinks?[head] ?? float.NegativeInfinity;
        }
    }

    private static bool IsVisible(VariantCase problem, int sequence, int head, int query, int key, int queries, int seen)
    {
        int topLeft = query + problem.PastLength;
        int bottomRight = query + seen - queries;
        bool causal = problem.Kind.Causal switch
        {
            Causal.None => true,
            Causal.TopLeft => key <= topLeft,
            _ => key <= bottomRight,
        };
        if (problem.PrefixLengths.Length > 0 && key < problem.PrefixLengths[sequence])
            causal = true;
        int position = problem.Options.Window?.Alignment == QueryAlignment.BottomRight ? bottomRight : topLeft;
        return key < seen
            && causal
            && key >= (long)position - (problem.Options.Window?.Left ?? 1_000_000)
            && key <= (long)position + (problem.Options.Window?.Right ?? 1_000_000)
            && (problem.QueryDocuments is null || problem.QueryDocuments[sequence, query] == problem.KeyDocuments![sequence, key])
            && (problem.Padding is null || !problem.Padding[sequence, key])
            && (problem.Mask is null || (Reaches(problem.Mask, key) && Broadcast(problem.Mask, sequence, head, query, key)))
            && (problem.Bias is null || Reaches(problem.Bias, key));
    }

    private static double Bias(VariantCase problem, int sequence, int head, int query, int key, int offset) =>
        (problem.Bias is null ? 0.0 : Broadcast(problem.Bias, sequence, head, query, key))
        + (problem.PaddingBias is null ? 0.0 : problem.PaddingBias[sequence, key])
        + (problem.DistanceBias is null ? 0.0 : OfDistance(problem.DistanceBias, head, key - (query + offset)))
        - (problem.Slopes is null ? 0.0 : Slope(problem.Slopes, sequence, head) * Math.Abs(query + offset - key));

    private static double OfDistance(Tensor<float> table, int head, int distance)
    {
        int reach = ((int)table.Lengths[1] - 1) / 2;
        return distance <= -reach ? table[head, 0] : distance >= reach ? table[head, 2 * reach] : table[head, reach + distance];
    }

    private static double Slope(Tensor<float> slopes, int sequence, int head) => slopes.Rank == 2 ? slopes[sequence, head] : slopes[head];

    // Keys behind the end of a mask are hidden.
    private static bool Reaches<T>(Tensor<T> mask, int key) => mask.Lengths[^1] == 1 || key < mask.Lengths[^1];

    private static T Broadcast<T>(Tensor<T> tensor, params nint[] indices)
    {
        nint[] own = [.. indices.TakeLast(tensor.Rank).Zip(tensor.Lengths.ToArray(), (index, length) => length == 1 ? 0 : index)];
        return tensor[own];
    }

    private static double[] QueryRow(VariantCase problem, int sequence, int head, int query)
    {
        int row = problem.IsRagged ? problem.QueryStarts[sequence] + query : query;
        int batch = problem.IsRagged ? 0 : sequence;
        int position = problem.QueryPositions is not null ? problem.QueryPositions[batch, row] : problem.Cosine?.Rank == 3 ? row
            : problem.PastLength + query;
        return Prepared(problem, Elements(problem, problem.Query, batch, head, row), problem.QueryNorm, batch, position);
    }

    private static double[] KeyRow(VariantCase problem, int sequence, int head, int key)
    {
        if (key < problem.PastLength)
            return Elements(problem, problem.PastKey!, sequence, head, key);
        int own = key - problem.PastLength;
        int row = problem.IsRagged ? problem.KeyStarts[sequence] + own : own;
        int batch = problem.IsRagged ? 0 : sequence;
        int position = problem.KeyPositions is not null ? problem.KeyPositions[batch, row]
            : problem.Cosine?.Rank == 3 ? row
            : key;
        return Prepared(problem, Elements(problem, problem.Key, batch, head, row), problem.KeyNorm, batch, position);
    }

    private static double ValueRow(VariantCase problem, int sequence, int head, int key, int element) =>
        key < problem.PastLength ? problem.PastValue![sequence, head, key, element]
        : problem.IsRagged ? problem.Value[problem.KeyStarts[sequence] + key, head, element]
        : problem.Value[sequence, head, key - problem.PastLength, element];

    private static double[] Elements(VariantCase problem, Tensor<float> tensor, int batch, int head, int row)
    {
        var elements = new double[problem.HeadSize];
        for (int i = 0; i < elements.Length; i++)
            elements[i] = problem.IsRagged ? tensor[row, head, i] : tensor[batch, head, row, i];
        return elements;
    }

    private static double[] Prepared(VariantCase problem, double[] row, Tensor<float>? norm, int batch, int position)
    {
        if (norm is not null)
        {
            double root = Math.Sqrt(row.Average(value => value * value) + problem.Options.NormEpsilon);
            row = [.. row.Select((value, i) => value / root * norm[i])];
        }

        if (problem.Cosine is null)
            return norm is null ? row : Stored(problem, row);
        int half = (int)problem.Cosine.Lengths[^1];
        float Entry(Tensor<float> table, int pair) =>
            table.Rank == 3 ? table[table.Lengths[0] == 1 ? 0 : batch, position, pair] : table[position, pair];
        var rotated = (double[])row.Clone();
        for (int pair = 0; pair < half; pair++)
        {
            (int first, int second) = problem.Options.RotaryInterleaved ? (2 * pair, 2 * pair + 1) : (pair, pair + half);

            // A complex number times another.
            var turned = new System.Numerics.Complex(row[first], row[second])
                * new System.Numerics.Complex(Entry(problem.Cosine, pair), Entry(problem.Sine!, pair));
            (rotated[first], rotated[second]) = (turned.Real, turned.Imaginary);
        }

        return Stored(problem, rotated);
    }

    // What has been normalised or rotated is stored in the element type before it is used.
    private static double[] Stored(VariantCase problem, double[] row) => problem.Kind.Element switch
    {
        ElementForm.F32 => row,
        ElementForm.F16 => [.. row.Select(value => (double)(Half)value)],
        _ => [.. row.Select(value => (double)(float)(BFloat16)(float)value)],
    };

    private static Tensor<float> Present(VariantCase problem, bool keys)
    {
        int size = keys ? problem.HeadSize : problem.ValueSize;
        Tensor<float> present = Tensor.CreateFromShape<float>([problem.Batch, problem.KeyValueHeads, problem.TotalKeys, size]);
        for (int batch = 0; batch < problem.Batch; batch++)
        {
            for (int head = 0; head < problem.KeyValueHeads; head++)
            {
                for (int key = 0; key < problem.TotalKeys; key++)
                {
                    double[]? row = keys ? KeyRow(problem, batch, head, key) : null;
                    for (int i = 0; i < size; i++)
                        present[batch, head, key, i] = (float)(row?[i] ?? ValueRow(problem, batch, head, key, i));
                }
            }
        }

        return present;
    }
}
