using System.Numerics.Tensors;

namespace AttentionGpu.Cli.Demo;

/// <summary>
/// Untrained embeddings: a normal vector per token drawn from the token's number and a seed, plus the sinusoidal positions of Vaswani and
/// others, "Attention Is All You Need" (2017), section 3.5. Equal words have equal vectors but for their position.
/// </summary>
internal static class TokenEmbedding
{
    private const double PositionBase = 10_000.0;

    /// <summary>[batch, longest sentence, size], with zeros where a sentence has ended.</summary>
    public static Tensor<float> Embed(IReadOnlyList<Sentence> sentences, int size, int seed)
    {
        int length = sentences.Max(sentence => sentence.Tokens.Count);
        var values = new float[sentences.Count * length * size];
        for (int batch = 0; batch < sentences.Count; batch++)
        {
            for (int position = 0; position < sentences[batch].Tokens.Count; position++)
                Write(sentences[batch].Tokens[position].Id, position, seed, values.AsSpan((batch * length + position) * size, size));
        }

        return Tensor.Create(values, [sentences.Count, length, size]);
    }

    private static void Write(int token, int position, int seed, Span<float> row)
    {
        var random = new Random(HashCode(token, seed));
        for (int i = 0; i < row.Length; i++)
        {
            double angle = position / Math.Pow(PositionBase, i / 2 * 2.0 / row.Length);
            double normal = Math.Sqrt(-2.0 * Math.Log(1.0 - random.NextDouble())) * Math.Cos(2.0 * Math.PI * random.NextDouble());
            row[i] = (float)(normal + (i % 2 == 0 ? Math.Sin(angle) : Math.Cos(angle)));
        }
    }

    // The same on every run, unlike System.HashCode.
    private static int HashCode(int token, int seed) => unchecked((token * 486_187_739) + (seed * 16_777_619));
}
