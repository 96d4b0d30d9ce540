namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>What scores become before softmax, from the product of a query and a key; negative infinity hides the key.</summary>
internal delegate double ScoreOf(int head, int query, int key, double product);

/// <summary>
/// The parts of attention in float64 and plain loops, from the formulas of PyTorch's <c>torch.nn.Linear</c> and <c>softmax</c>. A matrix is
/// an array of rows.
/// </summary>
internal static class Float64
{
    /// <summary>Rows times the transposed matrix, plus the bias (<c>torch.nn.Linear</c>).</summary>
    public static double[][] Linear(double[][] rows, double[][] weight, double[]? bias = null) =>
        [.. rows.Select(row => (double[])[.. weight.Select((line, i) => Dot(line, row) + (bias?[i] ?? 0.0))])];

    /// <summary>The same of the checkpoint's <c>NAME.weight</c> and <c>NAME.bias</c>.</summary>
    public static double[][] Linear(this HubCheckpoint checkpoint, string name, double[][] rows) =>
        Linear(rows, checkpoint.Matrix(name + ".weight"), checkpoint.Bias(name));

    /// <summary>Rows times the matrix as it is stored, plus the bias (transformers' <c>Conv1D</c>, which GPT-2 has).</summary>
    public static double[][] Conv1D(this HubCheckpoint checkpoint, string name, double[][] rows)
    {
        double[][] stored = checkpoint.Matrix(name + ".weight");
        double[][] transposed =
            [.. Enumerable.Range(0, stored[0].Length).Select(column => (double[])[.. stored.Select(row => row[column])])];
        return Linear(rows, transposed, checkpoint.Bias(name));
    }

    /// <summary>Some columns of all rows.</summary>
    public static double[][] Columns(double[][] rows, int start, int count) => [.. rows.Select(row => row[start..(start + count)])];

    /// <summary>Blocks of <paramref name="size"/> columns, in the order that is given.</summary>
    public static double[][] Blocks(double[][] rows, int size, IEnumerable<int> blocks)
    {
        int[] order = [.. blocks];
        return [.. rows.Select(row => (double[])[.. order.SelectMany(block => row[(block * size)..((block + 1) * size)])])];
    }

    /// <summary>Changes each head of each row; the function gets the head and the position of its row.</summary>
    public static double[][] EachHead(double[][] rows, int headSize, Func<double[], int, double[]> change) =>
        [.. rows.Select((row, position) => (double[])[.. row.Chunk(headSize).SelectMany(head => change(head, position))])];

    /// <summary>x / sqrt(mean(x^2) + epsilon) times the weights.</summary>
    public static double[] RmsNorm(double[] values, double[] weight, double epsilon)
    {
        double root = Math.Sqrt(values.Average(value => value * value) + epsilon);
        return [.. values.Select((value, i) => value / root * weight[i])];
    }

    /// <summary>
    /// Attention of all heads: scores, softmax, the mean of the values. Query heads share key/value heads in groups of neighbours
    /// (transformers' <c>repeat_kv</c>). A head's sink is one more score, without a value.
    /// </summary>
    public static double[][] Attend(
        double[][] query, double[][] key, double[][] value, int heads, int keyValueHeads, ScoreOf score, double[]? sinks = null)
    {
        int size = query[0].Length / heads;
        int valueSize = value[0].Length / keyValueHeads;
        double[][] result = [.. query.Select(_ => new double[heads * valueSize])];
        for (int head = 0; head < heads; head++)
        {
            int shared = head / (heads / keyValueHeads);
            for (int i = 0; i < query.Length; i++)
            {
                var scores = new double[key.Length];
                for (int j = 0; j < key.Length; j++)
                {
                    double product = Dot(query[i].AsSpan(head * size, size), key[j].AsSpan(shared * size, size));
                    scores[j] = score(head, i, j, product);
                }

                double largest = Math.Max(scores.Max(), sinks?[head] ?? double.NegativeInfinity);
                double sum = sinks is null ? 0.0 : Math.Exp(sinks[head] - largest);
                for (int j = 0; j < key.Length; j++)
                    sum += Math.Exp(scores[j] - largest);
                for (int j = 0; j < key.Length; j++)
                {
                    double weight = Math.Exp(scores[j] - largest) / sum;
                    for (int e = 0; e < valueSize; e++)
                        result[i][head * valueSize + e] += weight * value[j][shared * valueSize + e];
                }
            }
        }

        return result;
    }

    /// <summary>Scores times the scale, keys after the query hidden where the layer is causal.</summary>
    public static ScoreOf Scaled(double scale, bool causal) =>
        (_, query, key, product) => causal && key > query ? double.NegativeInfinity : product * scale;

    /// <summary>
    /// The same, and where the layer has a window only keys that are less than <paramref name="window"/> before the query: the last
    /// <paramref name="window"/> keys, the query's own among them (<c>sliding_window_overlay</c> of transformers' <c>masking_utils.py</c>).
    /// </summary>
    public static ScoreOf Windowed(double scale, int? window) => (_, query, key, product) =>
        key > query || key <= query - window ? double.NegativeInfinity : product * scale;

    private static double Dot(ReadOnlySpan<double> left, ReadOnlySpan<double> right)
    {
        double sum = 0.0;
        for (int i = 0; i < left.Length; i++)
            sum += left[i] * right[i];
        return sum;
    }
}
