using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>Queries, keys and values of a batch's tokens: [tokens, heads, size].</summary>
internal sealed record TreeRows(int[] Lengths, Tensor<float> Query, Tensor<float> Key, Tensor<float> Value)
{
    /// <summary>Some of the tokens, of one sequence.</summary>
    public TreeRows Some(int[] tokens)
    {
        return new TreeRows([tokens.Length], Of(Query), Of(Key), Of(Value));

        Tensor<float> Of(Tensor<float> rows)
        {
            int size = (int)(rows.Lengths[1] * rows.Lengths[2]);
            float[] all = Data.Flat(rows);
            return Tensor.Create(
                tokens.SelectMany(token => all[(token * size)..((token + 1) * size)]).ToArray(),
                [tokens.Length, rows.Lengths[1], rows.Lengths[2]]);
        }
    }
}

/// <summary>Calls of the operator with rotary tables, over batches of a cache, and what they must give.</summary>
internal sealed class TreeCalls
{
    public const int KeyValueHeads = 2;
    public const int Size = 13;

    private const int Heads = 6;
    private const int RotarySize = 8;
    private const int Positions = 120;

    private readonly Tensor<float> _cosine;
    private readonly Tensor<float> _sine;

    public TreeCalls(int seed)
    {
        Seed = seed;
        Random = new Random(seed);
        double[] angles = [.. Enumerable.Range(0, Positions * RotarySize / 2).Select(_ => Random.NextDouble() * 7)];
        _cosine = Tensor.Create(angles.Select(angle => (float)Math.Cos(angle)).ToArray(), [Positions, RotarySize / 2]);
        _sine = Tensor.Create(angles.Select(angle => (float)Math.Sin(angle)).ToArray(), [Positions, RotarySize / 2]);
    }

    public int Seed { get; }

    public Random Random { get; }

    /// <summary>Random tokens.</summary>
    public TreeRows Rows(int[] lengths)
    {
        int tokens = lengths.Sum();
        return new TreeRows(
            lengths, Data.Random(Random, tokens, Heads, Size), Data.Random(Random, tokens, KeyValueHeads, Size),
            Data.Random(Random, tokens, KeyValueHeads, Size));
    }

    /// <summary>Makes numbers of some keys and values NaN or infinite.</summary>
    public void Spoil(TreeRows rows)
    {
        float[] garbage = [float.NaN, float.PositiveInfinity, float.NegativeInfinity];
        for (int token = 0; token < rows.Lengths.Sum(); token++)
        {
            Tensor<float> of = Random.Next(2) == 0 ? rows.Key : rows.Value;
            if (Random.Next(12) == 0)
                of[token, Random.Next(KeyValueHeads), Random.Next(Size)] = garbage[Random.Next(garbage.Length)];
        }
    }

    /// <summary>Attends to the rows of a batch's sequences.</summary>
    public Tensor<float> Attend(AttentionEngine engine, KeyValueBatch batch, TreeRows rows, AttentionOptions options)
    {
        Tensor<float> output = Data.Poisoned(batch.Tokens, Heads, Size);
        engine.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = rows.Query,
                Key = rows.Key,
                Value = rows.Value,
                Cache = batch,
                RotaryCosine = _cosine,
                RotarySine = _sine,
            },
            new AttentionOutputs<float> { Output = output },
            options);
        return output;
    }

    /// <summary>
    /// The same by the definition: every sequence by itself, with a mask and given positions. A token that sees garbage has what the device
    /// has given it.
    /// </summary>
    public Tensor<float> Expected(TreeRows before, TreeRows rows, CacheTree tree, Tensor<float> actual)
    {
        Tensor<float> expected = Data.Poisoned(actual.Lengths);
        for (int i = 0, first = 0, firstPast = 0; i < tree.Lengths.Length; first += tree.Lengths[i], firstPast += tree.Past[i++])
        {
            (int past, int count, int start) = (tree.Past[i], tree.Lengths[i], first);
            int total = past + count;
            int[] positions = [.. Enumerable.Range(start, count).Select(tree.Position)];
            Tensor<float> output = Data.Poisoned(1, Heads, count, Size);
            Engines.Reference.ScaledDotProductAttention(
                new AttentionInputs<float>
                {
                    Query = Joined(Heads, rows.Query, start, count),
                    Key = Joined(KeyValueHeads, before.Key, firstPast, past, rows.Key, start, count),
                    Value = Joined(KeyValueHeads, before.Value, firstPast, past, rows.Value, start, count),
                    Mask = Tensor.Create(
                        Enumerable.Range(0, count * total).Select(n => tree.Sees(start + n / total, n % total)).ToArray(), [count, total]),
                    RotaryCosine = _cosine,
                    RotarySine = _sine,
                    QueryPositions = Tensor.Create(positions, [1, count]),
                    KeyPositions = Tensor.Create((int[])[.. Enumerable.Range(0, past), .. positions], [1, total]),
                },
                new AttentionOutputs<float> { Output = output });
            for (int n = 0; n < count * Heads * Size; n++)
            {
                (int token, int head, int element) = (n / (Heads * Size), n / Size % Heads, n % Size);
                float value = output[0, head, token, element];
                expected[start + token, head, element] = float.IsFinite(value) ? value : actual[start + token, head, element];
            }
        }

        return expected;
    }

    /// <summary>The rows of a sequence, keys and then values.</summary>
    public static float[] Stored(KeyValueSequence sequence)
    {
        Tensor<float>[] rows = [.. Enumerable.Range(0, 2).Select(_ => Data.Poisoned(KeyValueHeads, sequence.Length, Size))];
        sequence.CopyTo(0, rows[0], rows[1]);
        return [.. rows.SelectMany(Data.Flat)];
    }

    private static Tensor<float> Joined(int heads, Tensor<float> rows, int first, int count) =>
        Joined(heads, rows, first, 0, rows, first, count);

    // Tokens of two tensors, as [1, heads, tokens, size].
    private static Tensor<float> Joined(
        int heads, Tensor<float> left, int firstLeft, int leftCount, Tensor<float> right, int firstRight, int rightCount)
    {
        int count = leftCount + rightCount;
        Tensor<float> joined = Data.Poisoned(1, heads, count, Size);
        for (int n = 0; n < heads * count * Size; n++)
        {
            (int head, int token, int element) = (n / (count * Size), n / Size % count, n % Size);
            joined[0, head, token, element] = token < leftCount
                ? left[firstLeft + token, head, element]
                : right[firstRight + token - leftCount, head, element];
        }

        return joined;
    }
}
