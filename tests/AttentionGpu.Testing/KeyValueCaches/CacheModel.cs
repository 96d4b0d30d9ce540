namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>A token's rows in every layer, as they were written: [layer][head][element], keys and values.</summary>
internal sealed record CacheToken(double[][][] Keys, double[][][] Values);

/// <summary>A sequence as the definition has it: a plain list of rows.</summary>
/// <param name="Sequence">The sequence of the cache.</param>
/// <param name="Tokens">Its tokens from the first on.</param>
internal sealed record CacheSession(KeyValueSequence Sequence, List<CacheToken> Tokens);

/// <summary>What a call of the trial has besides rows.</summary>
internal sealed record CacheCall
{
    public required AttentionOptions Options { get; init; }

    public float[]? Sinks { get; init; }

    public float[]? Slopes { get; init; }

    /// <summary>[heads, 2 x reach + 1].</summary>
    public float[,]? DistanceBias { get; init; }
}

/// <summary>Attention in float64 over a list of rows, by its definition.</summary>
internal static class CacheDefinition
{
    /// <summary>A query's output and the logarithm of its sum.</summary>
    /// <param name="query">The query.</param>
    /// <param name="position">Its position.</param>
    /// <param name="head">Its head.</param>
    /// <param name="keys">Every key of the sequence; null for those that are gone.</param>
    /// <param name="values">The values.</param>
    /// <param name="valueSize">Elements of a value.</param>
    /// <param name="call">What else there is.</param>
    /// <param name="sees">Which keys a token of a tree sees; null for no tree.</param>
    public static (double[] Output, double LogSumExp) Attend(
        double[] query, int position, int head, double[]?[] keys, double[]?[] values, int valueSize, CacheCall call,
        Func<int, bool>? sees = null)
    {
        double scale = call.Options.Scale ?? (float)(1 / Math.Sqrt(query.Length));
        double[] scores = new double[keys.Length];
        for (int key = 0; key < keys.Length; key++)
        {
            scores[key] = double.NegativeInfinity;
            if (!(sees?.Invoke(key) ?? IsVisible(call.Options, position, key)))
                continue;
            Assert.True(keys[key] is not null, $"Query {position} sees key {key}, which is gone.");
            double score = 0;
            for (int i = 0; i < query.Length; i++)
                score += query[i] * keys[key]![i];
            score *= scale;
            if (call.Options.Softcap is float cap)
                score = cap * Math.Tanh(score / cap);
            if (call.Slopes is not null)
                score -= (double)call.Slopes[head] * Math.Abs(position - key);
            if (call.DistanceBias is { } table)
            {
                int reach = table.GetLength(1) / 2;
                score += table[head, Math.Clamp(key - position, -reach, reach) + reach];
            }

            scores[key] = score;
        }

        double sink = call.Sinks?[head] ?? double.NegativeInfinity;
        double most = scores.Append(sink).Max();
        double[] output = new double[valueSize];
        if (double.IsNegativeInfinity(most))
            return (output, most);
        double sum = Math.Exp(sink - most) + scores.Sum(score => Math.Exp(score - most));
        for (int key = 0; key < keys.Length; key++)
        {
            for (int i = 0; i < valueSize && !double.IsNegativeInfinity(scores[key]); i++)
                output[i] += Math.Exp(scores[key] - most) / sum * values[key]![i];
        }

        return (output, most + Math.Log(sum));
    }

    private static bool IsVisible(AttentionOptions options, int position, int key) =>
        (options.Causal == Causal.None || key <= position)
        && (options.Window?.Left is not int left || key >= position - left)
        && (options.Window?.Right is not int right || key <= position + right);
}
