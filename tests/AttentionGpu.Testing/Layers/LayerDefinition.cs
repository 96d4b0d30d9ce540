using System.Numerics.Tensors;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Layers;

/// <summary>
/// A whole layer straight from its definition, in float64, by plain loops. It shares no code, no layout and no loop order with the product.
/// </summary>
/// <remarks>
/// With 16-bit elements numbers are rounded to the type where a layer rounds them, and nowhere else: weights, biases and inputs; projected
/// queries, keys and values; queries and keys once more after both normalisation and rotation; the output of each head, before
/// extra keys join it and after; the output; the attention weights that are asked for. Norms, sinks, slopes, additive masks and log-sum-exp are float32.
/// </remarks>
internal static class LayerDefinition
{
    public static LayerResult Run(LayerCall call)
    {
        MultiHeadAttentionConfig config = call.Config;
        (int heads, int keyHeads, int size) = (config.Heads, config.KeyValueHeads ?? config.Heads, call.HeadSize);
        Tensor<float> keyInput = call.Key ?? call.Query;
        double[][] queries = Project(call, call.Query, call.Weights.Query, call.Weights.QueryBias);
        double[][] keys = Project(call, keyInput, call.Weights.Key, call.Weights.KeyBias);
        double[][] values = Project(call, call.Value ?? keyInput, call.Weights.Value, call.Weights.ValueBias);
        Tensor<float>? weights = call.HasWeights ? Tensor.CreateFromShape<float>(call.WeightLengths) : null;
        Tensor<float>? sums = call.HasLogSumExp ? Tensor.CreateFromShape<float>(call.LogSumExpLengths) : null;
        double[][] joined = [.. queries.Select(_ => new double[heads * size])];
        int length = RotaryLength(call);
        foreach (Part part in Parts(call))
        {
            for (int head = 0; head < heads; head++)
            {
                int keyHead = head / (heads / keyHeads);
                double[][] k = [.. Enumerable.Range(0, part.Keys).Select(j =>
                    Prepare(call, keys[part.KeyStart + j], keyHead, call.Weights.KeyNorm, KeyPosition(call, part, j), length))];
                for (int i = 0; i < part.Queries; i++)
                {
                    double[] q = Prepare(
                        call, queries[part.QueryStart + i], head, call.Weights.QueryNorm, QueryPosition(call, part, i), length);
                    (double[] row, double sum) = Softmax(
                        call, head, part, i, [.. k.Select(key => Dot(q, key)), .. ExtraProducts(call, q, keyHead)]);

                    // What the keys and the sink weigh, without extra keys: those join an output that is rounded before.
                    bool hasExtra = row.Length > part.Keys;
                    double share = hasExtra ? 1.0 - row.Skip(part.Keys).Sum() : 1.0;
                    for (int e = 0; e < size; e++)
                    {
                        double attended = 0.0;
                        for (int j = 0; j < part.Keys; j++)
                            attended += row[j] * values[part.KeyStart + j][keyHead * size + e];
                        if (hasExtra)
                            attended = share <= 0.0 ? 0.0 : share * Round(call, attended / share);
                        if (call.Weights.ExtraValue is { } extra)
                            attended += row[part.Keys] * Round(call, extra[keyHead * size + e]);
                        joined[part.QueryStart + i][head * size + e] = Round(call, attended);
                    }

                    Store(call, part, head, i, row, sum, weights, sums);
                }
            }
        }

        WriteRest(call, sums);
        double[][] output = [.. joined.Select(row => Linear(call, row, call.Weights.Output, call.Weights.OutputBias))];
        return new LayerResult(
            Tensor.Create([.. output.SelectMany(row => row.Select(value => (float)value))], call.Query.Lengths),
            Rounded(call, weights),
            sums);
    }

    // Tokens behind the last ragged sequence see no key.
    private static void WriteRest(LayerCall call, Tensor<float>? sums)
    {
        for (int token = call.IsRagged ? call.Starts[^1] : call.QueryLength; sums is not null && token < call.QueryLength; token++)
        {
            for (int head = 0; head < call.Config.Heads; head++)
                sums[head, token] = call.Weights.Sinks is { } sinks ? sinks[head] : float.NegativeInfinity;
        }
    }

    // The rows of a tensor, projected.
    private static double[][] Project(LayerCall call, Tensor<float> input, Tensor<float> weight, Tensor<float>? bias)
    {
        float[] elements = Support.Data.Flat(input);
        int size = (int)input.Lengths[^1];
        return [.. Enumerable.Range(0, elements.Length / size).Select(row => Linear(
            call, [.. elements.Skip(row * size).Take(size).Select(value => Round(call, value))], weight, bias))];
    }

    private static double[] Linear(LayerCall call, double[] input, Tensor<float> weight, Tensor<float>? bias)
    {
        var output = new double[weight.Lengths[0]];
        for (int row = 0; row < output.Length; row++)
        {
            double sum = bias is null ? 0.0 : Round(call, bias[row]);
            for (int column = 0; column < input.Length; column++)
                sum += Round(call, weight[row, column]) * input[column];
            output[row] = Round(call, sum);
        }

        return output;
    }

    // A head of a projected row, normalised and rotated.
    private static double[] Prepare(LayerCall call, double[] row, int head, Tensor<float>? norm, int position, int length)
    {
        double[] part = row[(head * call.HeadSize)..((head + 1) * call.HeadSize)];
        if (norm is not null)
        {
            double squares = 0.0;
            foreach (double value in part)
                squares += value * value;
            double root = Math.Sqrt(squares / part.Length + call.Config.NormEpsilon);
            for (int i = 0; i < part.Length; i++)
                part[i] = part[i] / root * norm[i];
        }

        call.Rotary?.Rotate(part, position, length);
        for (int i = 0; i < part.Length; i++)
            part[i] = Round(call, part[i]);
        return part;
    }

    // The largest position of the call and one.
    private static int RotaryLength(LayerCall call) => 1 + Parts(call)
        .SelectMany(part => Enumerable.Range(0, part.Queries).Select(query => QueryPosition(call, part, query))
            .Concat(Enumerable.Range(0, part.Keys).Select(key => KeyPosition(call, part, key))))
        .Append(-1).Max();

    private static int QueryPosition(LayerCall call, Part part, int query) =>
        call.QueryPositions is null ? query : At(call.QueryPositions, part.QueryStart + query);

    private static int KeyPosition(LayerCall call, Part part, int key) =>
        (call.KeyPositions ?? call.QueryPositions) is { } given ? At(given, part.KeyStart + key) : key;

    private static int At(Tensor<int> positions, int row) => positions[row / positions.Lengths[1], row % positions.Lengths[1]];

    private static double Dot(double[] first, double[] second)
    {
        double sum = 0.0;
        for (int i = 0; i < first.Length; i++)
            sum += first[i] * second[i];
        return sum;
    }

    // The products of a query and the keys that all queries see: the extra key, then that of zeros.
    private static IEnumerable<double> ExtraProducts(LayerCall call, double[] query, int keyHead)
    {
        if (call.Weights.ExtraKey is { } extra)
            yield return Dot(query, [.. Enumerable.Range(0, query.Length).Select(i => Round(call, extra[keyHead * query.Length + i]))]);
        if (call.Config.AddZeroAttention)
            yield return 0.0;
    }

    // A row of weights and the logarithm of its sum.
    private static (double[] Weights, double Sum) Softmax(LayerCall call, int head, Part part, int query, double[] products)
    {
        double scale = call.Config.Scale ?? 1.0 / Math.Sqrt(call.HeadSize);
        var scores = new double[products.Length];
        for (int key = 0; key < scores.Length; key++)
        {
            double score = scale * products[key];
            if (call.Config.Softcap is float cap)
                score = cap * Math.Tanh(score / cap);
            if (key >= part.Keys)
            {
                // Nothing else changes the score of an extra key, or hides it.
                scores[key] = score;
                continue;
            }

            if (call.Weights.AlibiSlopes is { } slopes)
                score -= slopes[head] * (double)Math.Abs(query + part.SeenKeys - part.Queries - key);
            if (call.Weights.DistanceBias is { } table)
            {
                int reach = ((int)table.Lengths[1] - 1) / 2;
                score += table[head, reach + Math.Clamp(key - (query + part.SeenKeys - part.Queries), -reach, reach)];
            }

            if (call.Bias is { } bias && Reaches(bias, key))
                score += Broadcast(bias, part.Entry, head, query, key);
            if (call.PaddingBias is { } padding)
                score += padding[part.Entry, key];
            scores[key] = IsVisible(call, part, head, query, key) ? score : double.NegativeInfinity;
        }

        double sink = call.Weights.Sinks is { } sinks ? sinks[head] : double.NegativeInfinity;
        double largest = Math.Max(sink, scores.Length == 0 ? double.NegativeInfinity : scores.Max());
        if (double.IsNegativeInfinity(largest))
            return (new double[scores.Length], double.NegativeInfinity);
        double total = Math.Exp(sink - largest);
        foreach (double score in scores)
            total += Math.Exp(score - largest);
        return ([.. scores.Select(score => Math.Exp(score - largest) / total)], largest + Math.Log(total));
    }

    private static bool IsVisible(LayerCall call, Part part, int head, int query, int key)
    {
        int last = query + part.SeenKeys - part.Queries;
        AttentionWindow window = call.Config.Window ?? new AttentionWindow();
        int position = window.Alignment == QueryAlignment.BottomRight ? last : query;
        return key < part.SeenKeys
            && (call.Causal == Causal.None || key <= (call.Causal == Causal.BottomRight ? last : query))
            && (window.Left is not int left || key >= (long)position - left)
            && (window.Right is not int right || key <= (long)position + right)
            && (call.Padding is null || !call.Padding[part.Entry, key])
            && (call.Bias is null || Reaches(call.Bias, key))
            && (call.Mask is null || (Reaches(call.Mask, key) && Broadcast(call.Mask, part.Entry, head, query, key)));
    }

    // Keys behind the end of a mask are hidden.
    private static bool Reaches<T>(Tensor<T> mask, int key) => mask.Lengths[^1] == 1 || key < mask.Lengths[^1];

    private static T Broadcast<T>(Tensor<T> tensor, params int[] indices)
    {
        var own = new nint[tensor.Rank];
        for (int axis = 1; axis <= own.Length; axis++)
            own[^axis] = tensor.Lengths[^axis] == 1 ? 0 : indices[^axis];
        return tensor[own];
    }

    private static void Store(
        LayerCall call, Part part, int head, int query, double[] row, double sum, Tensor<float>? weights, Tensor<float>? sums)
    {
        if (sums is not null && call.IsRagged)
            sums[head, part.QueryStart + query] = (float)sum;
        else if (sums is not null)
            sums[part.Entry, head, query] = (float)sum;
        for (int key = 0; weights is not null && key < row.Length; key++)
        {
            if (call.AveragesWeights)
                weights[part.Entry, query, key] += (float)(row[key] / call.Config.Heads);
            else
                weights[part.Entry, head, query, key] = (float)row[key];
        }
    }

    // A batch entry, or a ragged sequence.
    private static IEnumerable<Part> Parts(LayerCall call)
    {
        if (!call.IsRagged)
        {
            return Enumerable.Range(0, call.Batch).Select(entry => new Part(
                entry, entry * call.QueryLength, call.QueryLength, entry * call.KeyLength, call.KeyLength,
                call.KeyLengths.Length == 0 ? call.KeyLength : call.KeyLengths[entry]));
        }

        int[] keyStarts = call.KeyStarts.Length == 0 ? call.Starts : call.KeyStarts;
        return Enumerable.Range(0, call.Starts.Length - 1).Select(entry =>
        {
            int keys = keyStarts[entry + 1] - keyStarts[entry];
            int seen = call.KeyLengths.Length == 0 ? keys : call.KeyLengths[entry];
            return new Part(entry, call.Starts[entry], call.Starts[entry + 1] - call.Starts[entry], keyStarts[entry], keys, seen);
        });
    }

    private static double Round(LayerCall call, double value) => call.Element switch
    {
        ElementForm.F32 => value,
        ElementForm.F16 => (double)(Half)value,
        _ => (float)(BFloat16)(float)value,
    };

    private static Tensor<float>? Rounded(LayerCall call, Tensor<float>? tensor) =>
        tensor is null ? null : Tensor.Create([.. Support.Data.Flat(tensor).Select(value => (float)Round(call, value))], tensor.Lengths);

    private sealed record Part(int Entry, int QueryStart, int Queries, int KeyStart, int Keys, int SeenKeys);
}
